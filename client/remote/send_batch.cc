#include "client/remote/send_batch.h"

#include <utility>

namespace barista::client {

size_t SendBatch::bytes() const {
  size_t sum = 0;
  for (const Entry& entry : entries) sum += entry.bytes;
  return sum;
}

void SendBatch::Fail(const absl::Status& status) {
  for (const Entry& entry : entries) results[entry.place] = status;
  entries.clear();
}

void SendFrame::Add(std::unique_ptr<SendBatch> batch) {
  const size_t first = entries_;
  bytes_ += batch->bytes();
  entries_ += batch->entries.size();
  for (SendBatch::Entry& entry : batch->entries) {
    request_.mutable_entries()->AddAllocated(entry.message.release());
  }
  parts_.push_back({std::move(batch), first});
}

std::unique_ptr<SendBatch> SendFrame::Tell(absl::StatusOr<SendResult> result,
                                           bool (*again)(const absl::Status& status)) {
  Part& part = parts_[part_];
  std::vector<SendBatch::Entry>& entries = part.batch->entries;
  part.batch->results[entries[told_ - part.first].place] = std::move(result);
  ++told_;
  if (told_ < part.first + entries.size()) return nullptr;

  std::vector<SendBatch::Entry> left;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (!again(part.batch->results[entries[i].place].status())) continue;
    left.push_back(std::move(entries[i]));
    left.back().message =
        std::make_unique<v1::SendMessageEntry>(request_.entries(static_cast<int>(part.first + i)));
  }
  entries = std::move(left);
  ++part_;
  return std::move(part.batch);
}

std::vector<std::unique_ptr<SendBatch>> SendFrame::TakeRest() {
  std::vector<std::unique_ptr<SendBatch>> batches;
  for (; part_ < parts_.size(); ++part_) {
    Part& part = parts_[part_];
    std::vector<SendBatch::Entry> left;
    for (size_t i = 0; i < part.batch->entries.size(); ++i) {
      if (part.first + i < told_) continue;
      left.push_back(std::move(part.batch->entries[i]));
      left.back().message = std::make_unique<v1::SendMessageEntry>(
          request_.entries(static_cast<int>(part.first + i)));
    }
    part.batch->entries = std::move(left);
    batches.push_back(std::move(part.batch));
  }
  told_ = entries_;
  return batches;
}

}  // namespace barista::client
