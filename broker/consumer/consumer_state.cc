#include "broker/consumer/consumer_state.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "barista/error.h"

namespace barista::internal {
namespace {

constexpr absl::Duration kMaxTimeout = absl::Hours(12);
constexpr absl::Duration kMinHeartbeatTimeout = absl::Seconds(1);

absl::Status Wrong(absl::string_view field, const std::string& value, absl::string_view limit) {
  return MakeError(absl::StatusCode::kInvalidArgument,
                   absl::StrCat(field, " is ", value, "; it must be ", limit),
                   {.reason = "InvalidParameterValue",
                    .field = std::string(field),
                    .value = value,
                    .limit = std::string(limit)});
}

absl::Status CheckTimeout(absl::string_view field, absl::Duration timeout) {
  if (timeout >= absl::ZeroDuration() && timeout <= kMaxTimeout) return absl::OkStatus();
  return Wrong(field, absl::FormatDuration(timeout), "0s to 12h");
}

absl::Status ConsumerStopped() {
  return MakeError(absl::StatusCode::kCancelled, "the consumer has been stopped",
                   {.reason = "ConsumerStopped"});
}

absl::Status ConsumerClosed() {
  return MakeError(absl::StatusCode::kFailedPrecondition, "the consumer is closed",
                   {.reason = "ConsumerClosed"});
}

int64_t BytesOf(const ReceivedMessage& message) {
  return static_cast<int64_t>(message.body.size());
}

}  // namespace

absl::Status ValidateConsume(const ConsumeOptions& options) {
  if (options.credit < 1 || options.credit > kMaxCredit) {
    return Wrong("credit", absl::StrCat(options.credit), absl::StrCat("1 to ", kMaxCredit));
  }
  if (!options.visibility_timeout.has_value()) return absl::OkStatus();
  const absl::Duration timeout = *options.visibility_timeout;
  if (options.heartbeat && timeout >= absl::ZeroDuration() && timeout < kMinHeartbeatTimeout) {
    return Wrong("VisibilityTimeout", absl::FormatDuration(timeout), "1s to 12h with a heartbeat");
  }
  return CheckTimeout("VisibilityTimeout", timeout);
}

// ---- Taking ----

absl::StatusOr<std::optional<ReceivedMessage>> ConsumerState::Next(absl::Duration wait) {
  std::optional<ReceivedMessage> message;
  bool wanting;
  {
    MutexLock lock(&mutex_);
    Waiting waiting(wait);
    for (;;) {
      if (stopped_) return ConsumerStopped();
      if (!failure_.ok()) return std::exchange(failure_, absl::OkStatus());
      if (!ended_.ok()) return ended_;
      if (!ready_.empty()) break;
      if (wait <= absl::ZeroDuration() || !WaitForChange(&waiting, &arrived_)) return message;
    }
    message = std::move(ready_.front());
    ready_.pop_front();
    ready_bytes_ -= BytesOf(*message);
    wanting = Wanted(0) > 0;
  }
  if (wanting) Attend();
  return message;
}

void ConsumerState::Arrive(std::vector<ReceivedMessage> messages) {
  for (ReceivedMessage& message : messages) {
    message.delivery = next_number_++;
    if (stopped_) {
      untaken_.push_back({message.delivery, message.message_id, message.receipt_handle});
      continue;
    }
    open_.emplace(message.delivery, OpenDelivery{message.message_id, message.receipt_handle});
    ready_bytes_ += BytesOf(message);
    ready_.push_back(std::move(message));
    arrived_.NotifyOne();
  }
  ++notified_;
}

size_t ConsumerState::Wanted(size_t coming) const {
  if (stopped_ || ended()) return 0;
  const size_t taken = open_.size() + coming;
  const size_t room = taken < credit_ ? credit_ - taken : 0;
  return ready_.empty() || room >= (credit_ + 1) / 2 ? room : 0;
}

// ---- Asking ----

absl::Status ConsumerState::CheckAsk() const {
  if (closing_) return ConsumerClosed();
  return ended_;
}

absl::StatusOr<ConsumerState::Delivery> ConsumerState::Find(const ReceivedMessage& message) const {
  const auto it = open_.find(message.delivery);
  if (it == open_.end() || it->second.message_id != message.message_id) {
    return MakeError(
        absl::StatusCode::kInvalidArgument,
        absl::StrCat("message ", message.message_id.ToString(), ", delivery ", message.delivery,
                     ", is not with this consumer: it has been deleted or released, or "
                     "is another's"),
        {.reason = "InvalidParameterValue",
         .field = "delivery",
         .value = absl::StrCat(message.delivery),
         .limit = "a message that the consumer has given out"});
  }
  return Delivery{it->first, it->second.message_id, it->second.receipt_handle};
}

absl::Status ConsumerState::Delete(const ReceivedMessage& message) {
  {
    MutexLock lock(&mutex_);
    if (absl::Status status = CheckAsk(); !status.ok()) return status;
    absl::StatusOr<Delivery> delivery = Find(message);
    if (!delivery.ok()) return delivery.status();
    open_.erase(delivery->number);
    deletes_.push_back(*delivery);
    ++deletes_asked_;
  }
  Attend();
  return absl::OkStatus();
}

absl::Status ConsumerState::Release(const ReceivedMessage& message, absl::Duration delay) {
  if (absl::Status status = CheckTimeout("delay", delay); !status.ok()) return status;
  {
    MutexLock lock(&mutex_);
    if (absl::Status status = CheckAsk(); !status.ok()) return status;
    absl::StatusOr<Delivery> delivery = Find(message);
    if (!delivery.ok()) return delivery.status();
    open_.erase(delivery->number);
    changes_.push_back({*delivery, delay});
    ++changes_asked_;
  }
  Attend();
  return absl::OkStatus();
}

absl::Status ConsumerState::Extend(const ReceivedMessage& message,
                                   absl::Duration visibility_timeout) {
  if (absl::Status status = CheckTimeout("VisibilityTimeout", visibility_timeout); !status.ok())
    return status;
  {
    MutexLock lock(&mutex_);
    if (absl::Status status = CheckAsk(); !status.ok()) return status;
    absl::StatusOr<Delivery> delivery = Find(message);
    if (!delivery.ok()) return delivery.status();
    changes_.push_back({*delivery, visibility_timeout, /*extension=*/true});
    ++changes_asked_;
  }
  Attend();
  return absl::OkStatus();
}

std::vector<ConsumerState::Delivery> ConsumerState::TakeDeletes(size_t max) {
  const auto end = deletes_.begin() + static_cast<int64_t>(std::min(max, deletes_.size()));
  std::vector<Delivery> taken(deletes_.begin(), end);
  deletes_.erase(deletes_.begin(), end);
  return taken;
}

std::vector<ConsumerState::Change> ConsumerState::TakeChanges(size_t max, uint64_t* taken) {
  std::vector<Change> changes;
  *taken = 0;
  while (!changes_.empty() && changes.size() < max) {
    const Change& change = changes_.front();
    if (!change.extension || open_.contains(change.delivery.number)) changes.push_back(change);
    changes_.pop_front();
    ++*taken;
  }
  return changes;
}

std::vector<ConsumerState::Delivery> ConsumerState::TakeUntaken() {
  return std::exchange(untaken_, {});
}

std::vector<ConsumerState::Delivery> ConsumerState::Open() const {
  std::vector<Delivery> open;
  open.reserve(open_.size());
  for (const auto& [number, delivery] : open_)
    open.push_back({number, delivery.message_id, delivery.receipt_handle});
  return open;
}

void ConsumerState::ReleaseQuietly(const std::vector<Delivery>& deliveries) {
  changes_asked_ += deliveries.size();
  for (const Delivery& delivery : deliveries) {
    changes_.push_back({delivery, absl::ZeroDuration(), /*extension=*/false,
                        /*quiet=*/true});
  }
}

void ConsumerState::ReleaseUntaken() { ReleaseQuietly(TakeUntaken()); }

void ConsumerState::ReleaseOpen() {
  ReleaseQuietly(Open());
  open_.clear();
}

// ---- Settling ----

void ConsumerState::SettledDeletes(uint64_t count) {
  deletes_settled_ += count;
  ++notified_;
  settled_.NotifyAll();
}

void ConsumerState::SettledChanges(uint64_t count) {
  changes_settled_ += count;
  ++notified_;
  settled_.NotifyAll();
}

void ConsumerState::Failed(const MessageId& message, const absl::Status& status) {
  if (!failure_.ok()) return;
  absl::Status failure(status.code(),
                       absl::StrCat("message ", message.ToString(), ": ", status.message()));
  status.ForEachPayload([&](absl::string_view type, const absl::Cord& payload) {
    failure.SetPayload(type, payload);
  });
  failure_ = std::move(failure);
  ++notified_;
  arrived_.NotifyOne();
}

absl::Status ConsumerState::AnswerFlush(bool done) {
  if (!failure_.ok()) return std::exchange(failure_, absl::OkStatus());
  return done ? absl::OkStatus() : ended_;
}

absl::Status ConsumerState::Flush(absl::Duration timeout) {
  MutexLock lock(&mutex_);
  const uint64_t deletes = deletes_asked_;
  const uint64_t changes = changes_asked_;
  Waiting waiting(timeout);
  for (;;) {
    const bool done = deletes_settled_ >= deletes && changes_settled_ >= changes;
    if (done || !ended_.ok()) return AnswerFlush(done);
    if (!WaitForChange(&waiting, &settled_)) {
      return absl::DeadlineExceededError(
          absl::StrCat("not everything was done within ", absl::FormatDuration(timeout)));
    }
  }
}

// ---- The end ----

void ConsumerState::StopLocked() {
  if (stopped_) return;
  stopped_ = true;
  for (const ReceivedMessage& message : ready_) {
    untaken_.push_back({message.delivery, message.message_id, message.receipt_handle});
    open_.erase(message.delivery);
  }
  ready_.clear();
  ready_bytes_ = 0;
  NotifyAll();
}

void ConsumerState::Stop() {
  {
    MutexLock lock(&mutex_);
    StopLocked();
  }
  Attend();
}

void ConsumerState::LetGo() {
  {
    MutexLock lock(&mutex_);
    StopLocked();
    closing_ = true;
  }
  Attend();
}

absl::Status ConsumerState::Close() {
  LetGo();
  MutexLock lock(&mutex_);
  Waiting waiting(absl::InfiniteDuration());
  for (;;) {
    const bool done = AllSettled();
    if (!ended_.ok() || (done && IsClosed())) return AnswerFlush(done);
    WaitForChange(&waiting, &settled_);
  }
}

absl::Status ConsumerState::status() const {
  MutexLock lock(&mutex_);
  if (!ended_.ok()) return ended_;
  return closing_ ? ConsumerClosed() : absl::OkStatus();
}

void ConsumerState::EndLocked(const absl::Status& error) {
  if (!ended_.ok()) return;
  ended_ = error;
  ready_.clear();
  ready_bytes_ = 0;
  NotifyAll();
}

void ConsumerState::End(const absl::Status& error) {
  {
    MutexLock lock(&mutex_);
    EndLocked(error);
  }
  Attend();
}

void ConsumerState::NotifyAll() {
  ++notified_;
  arrived_.NotifyAll();
  settled_.NotifyAll();
}

}  // namespace barista::internal
