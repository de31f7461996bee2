#include "client/remote/remote_consumer.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "broker/message/queue_errors.h"
#include "client/remote/wire.h"

namespace barista::client {
namespace {

// Calls `add(first, count)` for each range of neighbours in `numbers`.
template <typename Add>
void InRanges(std::vector<uint64_t> numbers, Add add) {
  std::sort(numbers.begin(), numbers.end());
  for (size_t i = 0; i < numbers.size();) {
    size_t end = i + 1;
    while (end < numbers.size() && numbers[end] == numbers[i] + (end - i)) ++end;
    add(numbers[i], end - i);
    i = end;
  }
}

void Set(uint64_t first, uint64_t count, v1::DeliveryRange* range) {
  range->set_first(first);
  if (count > 1) range->set_count(count);
}

}  // namespace

RemoteConsumer::RemoteConsumer(std::shared_ptr<Connection> connection, const std::string& queue,
                               const ConsumeOptions& options)
    : ConsumerState(options.credit), connection_(std::move(connection)) {
  v1::ConsumeStart& start = *request_.mutable_start();
  start.set_queue(queue);
  if (options.visibility_timeout.has_value())
    EncodeDuration(*options.visibility_timeout, start.mutable_visibility_timeout());
  start.set_heartbeat(options.heartbeat);
  start.set_receipt_handles(options.receipt_handles);
}

absl::Status RemoteConsumer::Begin() {
  self_ = std::static_pointer_cast<RemoteConsumer>(shared_from_this());
  const std::shared_ptr<UnderWay> under_way(self_, this);
  if (absl::Status status = connection_->Begin(under_way); !status.ok()) {
    self_ = nullptr;
    return status;
  }
  {
    MutexLock lock(&mutex_);
    connection_->api()->ConsumeStream(context_.get(), this);
    AddHold();
    holding_ = true;
  }
  StartRead(&response_);
  StartCall();
  Attend();
  return absl::OkStatus();
}

// ---- Asking ----

void RemoteConsumer::Attend() {
  bool write = false;
  bool last = false;
  bool close = false;
  {
    MutexLock lock(&mutex_);
    // (It only asks.)
    if (ended() && context_ != nullptr) context_->TryCancel();
    if (holding_ && !writing_) {
      const bool over = broken_ || ended();
      if (!over) write = writing_ = FillRequest();
      close = !over && !write && closing();
      last = over || close;
      holding_ = !last;
    }
  }
  if (write) StartWrite(&request_);
  if (close) StartWritesDone();
  if (last) RemoveHold();
}

bool RemoteConsumer::FillRequest() {
  const bool first = !std::exchange(started_, true);
  if (!first) request_.Clear();
  if (stopped()) ReleaseUntaken();
  Sent sent;
  sent.deletes = TakeDeletes(kMaxNamed);
  sent.changes = TakeChanges(kMaxNamed - sent.deletes.size(), &sent.changes_taken);

  std::vector<uint64_t> numbers;
  numbers.reserve(sent.deletes.size());
  for (const Delivery& delivery : sent.deletes) numbers.push_back(delivery.number);
  InRanges(std::move(numbers),
           [&](uint64_t from, uint64_t count) { Set(from, count, request_.add_deletes()); });
  // Of several extensions of a message the last one counts.
  std::map<uint64_t, absl::Duration> extended;
  std::map<absl::Duration, std::vector<uint64_t>> releases, extensions;
  for (const Change& change : sent.changes) {
    if (change.extension) {
      extended[change.delivery.number] = change.timeout;
    } else {
      releases[change.timeout].push_back(change.delivery.number);
    }
  }
  for (const auto& [number, timeout] : extended) extensions[timeout].push_back(number);
  for (auto& [delay, released] : releases) {
    InRanges(std::move(released), [&, d = delay](uint64_t from, uint64_t count) {
      v1::DeliveryRelease* release = request_.add_releases();
      Set(from, count, release->mutable_deliveries());
      if (d > absl::ZeroDuration()) EncodeDuration(d, release->mutable_delay());
    });
  }
  for (auto& [timeout, numbers_of_it] : extensions) {
    InRanges(std::move(numbers_of_it), [&, t = timeout](uint64_t from, uint64_t count) {
      v1::DeliveryExtension* extension = request_.add_extensions();
      Set(from, count, extension->mutable_deliveries());
      EncodeDuration(t, extension->mutable_visibility_timeout());
    });
  }
  // (What is still to be named is open on the other side.)
  const size_t credit = Wanted(credit_told_ + pending());
  request_.set_credit(static_cast<uint32_t>(credit));
  credit_told_ += credit;
  if (!first && credit == 0 && sent.deletes.empty() && sent.changes.empty()) {
    // What was left out is settled when what was asked before is.
    if (!sent_.empty()) {
      sent_.back().changes_taken += sent.changes_taken;
    } else if (sent.changes_taken > 0) {
      SettledChanges(sent.changes_taken);
    }
    return false;
  }
  sent_.push_back(std::move(sent));
  return true;
}

void RemoteConsumer::OnWriteDone(bool ok) {
  {
    MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok) broken_ = true;
  }
  Attend();
}

// ---- Hearing ----

void RemoteConsumer::OnReadDone(bool ok) {
  std::vector<ReceivedMessage> messages;
  absl::Status unreadable;
  if (ok) {
    messages.reserve(static_cast<size_t>(response_.messages_size()));
    for (const v1::Message& message : response_.messages()) {
      absl::StatusOr<ReceivedMessage> decoded = DecodeDelivery(message);
      if (!decoded.ok()) unreadable = decoded.status();
      if (decoded.ok()) messages.push_back(*std::move(decoded));
    }
  }
  {
    MutexLock lock(&mutex_);
    if (!ok) broken_ = true;
    if (ok && response_.messages_size() > 0 && response_.first_delivery() != next_number()) {
      unreadable = absl::InternalError(absl::StrCat("the broker delivers number ",
                                                    response_.first_delivery(), " where ",
                                                    next_number(), " comes next"));
    }
    if (!unreadable.ok()) EndLocked(unreadable);
    if (ok && unreadable.ok()) TakeResponse(std::move(messages));
  }
  if (ok) StartRead(&response_);
  Attend();
}

void RemoteConsumer::TakeResponse(std::vector<ReceivedMessage> messages) {
  credit_told_ -= std::min(credit_told_, messages.size());
  if (!messages.empty()) Arrive(std::move(messages));
  for (const v1::StreamFailure& failure : response_.failures()) TakeFailure(failure);
  for (; settled_ < response_.settled() && !sent_.empty(); ++settled_) {
    const Sent& sent = sent_.front();
    if (!sent.deletes.empty()) SettledDeletes(sent.deletes.size());
    if (sent.changes_taken > 0) SettledChanges(sent.changes_taken);
    sent_.pop_front();
  }
}

void RemoteConsumer::TakeFailure(const v1::StreamFailure& failure) {
  const uint64_t place = failure.request() - settled_ - 1;
  if (place >= sent_.size()) return;
  const uint64_t count = std::max<uint64_t>(failure.count(), 1);
  const auto concerns = [&](const Delivery& delivery) {
    return delivery.number - failure.first() < count;
  };
  for (const Delivery& delivery : sent_[place].deletes) {
    if (concerns(delivery)) Failed(delivery.message_id, DecodeError(failure.error()));
  }
  for (const Change& change : sent_[place].changes) {
    if (concerns(change.delivery) && !change.quiet)
      Failed(change.delivery.message_id, DecodeError(failure.error()));
  }
}

// ---- The end ----

void RemoteConsumer::OnClose() { End(internal::BrokerClosed()); }

void RemoteConsumer::OnDone(const grpc::Status& status) {
  const std::shared_ptr<RemoteConsumer> last = std::move(self_);
  std::unique_ptr<grpc::ClientContext> context;
  {
    MutexLock lock(&mutex_);
    context = std::move(context_);
    if (!status.ok()) {
      EndLocked(connection_->ToStatus(status));
    } else if (!closing()) {
      EndLocked(absl::UnavailableError("the broker has ended the stream"));
    }
  }
  context = nullptr;
  {
    MutexLock lock(&mutex_);
    done_ = true;
    NotifyAll();
  }
  connection_->End(this);
}

// ---- Waiting ----

bool RemoteConsumer::WaitForChange(Waiting* waiting, CondVar* changed) {
  if (waiting->limit == absl::InfiniteDuration()) {
    changed->Wait(&mutex_);
    return true;
  }
  const absl::Duration now = absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
  if (!waiting->until.has_value()) waiting->until = now + waiting->limit;
  if (now >= *waiting->until) return false;
  changed->WaitFor(&mutex_, *waiting->until - now);
  return true;
}

}  // namespace barista::client
