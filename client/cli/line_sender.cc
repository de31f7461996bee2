#include "client/cli/line_sender.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "barista/error.h"
#include "barista/message.h"
#include "client/cli/message_format.h"

namespace barista::cli {
namespace {

constexpr absl::Duration kFirstPause = absl::Milliseconds(5);
constexpr absl::Duration kLongestPause = absl::Seconds(1);

size_t AttributeBytes(const v1::SendMessageEntry& entry) {
  size_t bytes = 0;
  for (const auto& [name, value] : entry.attributes()) {
    bytes += name.size() + value.data_type().size() + value.string_value().size() +
             value.binary_value().size();
  }
  return bytes;
}

absl::Status TooLong(int64_t bytes) {
  ErrorInfo info;
  info.reason = "InvalidParameterValue";
  info.field = "body";
  info.value = absl::StrCat(bytes);
  info.limit = absl::StrCat(kMaxMessageBytes);
  return MakeError(absl::StatusCode::kInvalidArgument,
                   absl::StrCat("the line is ", bytes, " bytes; limit ", kMaxMessageBytes), info);
}

}  // namespace

LineSender::LineSender(client::QueueClient& client, Output& output, std::string queue,
                       v1::SendMessageEntry prototype, bool in_order)
    : client_(client),
      output_(output),
      queue_(std::move(queue)),
      prototype_(std::move(prototype)),
      prototype_bytes_(AttributeBytes(prototype_)),
      in_order_(in_order),
      progress_("sent"),
      window_([this](std::unique_ptr<Call> call, const client::CallWindow<Call>::Done& done) {
        client_.StartSendMessage(std::move(call),
                                 [done](std::unique_ptr<client::SendMessageCall> ended) {
                                   done(std::unique_ptr<Call>(static_cast<Call*>(ended.release())));
                                 });
      }) {}

absl::Status LineSender::Run(LineReader& input) {
  LineReader::Line line;
  while (failure_.ok()) {
    while (auto ended = window_.TryNext()) Settle(std::move(ended));
    if (batch_ != nullptr && HasRoom() && !input.Ready()) SendBatch();
    auto more = input.Next(line);
    if (!more.ok()) failure_ = more.status();
    if (!more.ok() || !*more) break;
    if (line.bytes == 0) {
      ++counts_.skipped_empty;
    } else if (line.bytes > static_cast<int64_t>(kMaxMessageBytes)) {
      ++counts_.refused;
      output_.Error(TooLong(line.bytes), line.number);
    } else {
      Add(std::move(line));
    }
  }
  if (failure_.ok() && batch_ != nullptr) SendBatch();
  while (window_.in_flight() > 0) Settle(window_.Next());
  return failure_;
}

void LineSender::Add(LineReader::Line line) {
  const size_t bytes = line.text.size() + prototype_bytes_;
  if (batch_ != nullptr &&
      (batch_bytes_ + bytes > kMaxBatchBytes || batch_->lines.size() == kMaxBatchEntries)) {
    SendBatch();
  }
  if (batch_ == nullptr) {
    batch_ = std::make_unique<Call>();
    batch_->request.set_queue(queue_);
    batch_bytes_ = 0;
  }
  v1::SendMessageEntry* entry = batch_->request.add_entries();
  *entry = prototype_;
  *entry->mutable_body() = std::move(line.text);
  batch_->lines.push_back(line.number);
  batch_bytes_ += bytes;
}

void LineSender::SendBatch() {
  while (!HasRoom()) Settle(window_.Next());
  if (failure_.ok()) window_.Start(std::move(batch_));
  batch_ = nullptr;
}

bool LineSender::SettleLine(const absl::Status& status, int64_t line) {
  if (status.ok()) {
    ++counts_.sent;
    return false;
  }
  if (GetErrorInfo(status).reason == "IntakeFull" && absl::Now() - retrying_since_ < kRetryFor) {
    return true;
  }
  ++counts_.refused;
  output_.Error(status, line);
  return false;
}

void LineSender::Settle(std::unique_ptr<Call> call) {
  const absl::Time now = absl::Now();
  auto retry = std::make_unique<Call>();
  retry->request.set_queue(queue_);
  if (retrying_since_ == absl::InfiniteFuture()) retrying_since_ = now;

  const bool single = call->lines.size() == 1;
  const std::string reason = GetErrorInfo(call->status).reason;
  if (!call->status.ok() && (!single || reason.empty() || reason == "QueueDoesNotExist")) {
    if (ExitCodeFor(call->status) == kNotReachable) {
      output_.Note(absl::StrCat("the call for lines ", call->lines.front(), " to ",
                                call->lines.back(), " broke: they may or may not be stored"));
    }
    failure_.Update(call->status);
    return;
  }
  for (size_t i = 0; i < call->lines.size(); ++i) {
    // A call of a single entry fails as a whole.
    absl::Status status = call->status;
    if (status.ok()) {
      const v1::SendMessageResult& result = call->response.results(static_cast<int>(i));
      if (result.has_error()) status = client::FromError(result.error());
    }
    if (SettleLine(status, call->lines[i])) {
      *retry->request.add_entries() =
          std::move(*call->request.mutable_entries(static_cast<int>(i)));
      retry->lines.push_back(call->lines[i]);
    }
  }
  progress_.Update(counts_.sent);

  if (retry->lines.empty()) {
    retrying_since_ = absl::InfiniteFuture();
    pause_ = absl::ZeroDuration();
    return;
  }
  if (!failure_.ok()) return;
  pause_ = std::clamp(pause_ * 2, kFirstPause, kLongestPause);
  absl::SleepFor(pause_);
  window_.Start(std::move(retry));
}

}  // namespace barista::cli
