#include "broker/server/open_deliveries.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "barista/error.h"

namespace barista::server {

void OpenDeliveries::Open(uint64_t number, const ReceiptHandle& handle) {
  Chunk& chunk = chunks_[number / kChunk];
  chunk.handles[number % kChunk] = handle;
  chunk.open |= Bit(number);
  ++size_;
}

void OpenDeliveries::Close(uint64_t number) {
  const auto chunk = chunks_.find(number / kChunk);
  chunk->second.open &= static_cast<uint8_t>(~Bit(number));
  if (chunk->second.open == 0) chunks_.erase(chunk);
  --size_;
}

template <typename Use>
void OpenDeliveries::ForEach(Use use) const {
  for (const auto& [index, chunk] : chunks_) {
    for (uint64_t i = 0; i < kChunk; ++i) {
      const uint64_t number = index * kChunk + i;
      if ((chunk.open & Bit(number)) != 0) use(number, chunk.handles[i]);
    }
  }
}

uint64_t OpenDeliveries::Add(const ReceiptHandle& handle) {
  Open(next_, handle);
  return next_++;
}

absl::Status OpenDeliveries::Find(const v1::DeliveryRange& range, size_t* budget,
                                  Chosen* chosen) const {
  const uint64_t count = std::max<uint64_t>(range.count(), 1);
  if (count > *budget) {
    return MakeError(absl::StatusCode::kInvalidArgument,
                     absl::StrCat("the request names ", count, " deliveries from ", range.first(),
                                  " on; only ", *budget, " more may be named in it"),
                     {.reason = "InvalidParameterValue",
                      .field = "count",
                      .value = absl::StrCat(count),
                      .limit = absl::StrCat(*budget)});
  }
  const size_t before = chosen->size();
  auto chunk = chunks_.end();
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t number = range.first() + i;
    if (i == 0 || number % kChunk == 0) chunk = chunks_.find(number / kChunk);
    if (chunk == chunks_.end() || (chunk->second.open & Bit(number)) == 0) {
      chosen->numbers.resize(before);
      chosen->handles.resize(before);
      return MakeError(absl::StatusCode::kInvalidArgument,
                       absl::StrCat("delivery ", number, " is not open on this stream"),
                       {.reason = "InvalidParameterValue",
                        .field = "first",
                        .value = absl::StrCat(number),
                        .limit = "an open delivery"});
    }
    chosen->numbers.push_back(number);
    chosen->handles.push_back(chunk->second.handles[number % kChunk]);
  }
  *budget -= count;
  return absl::OkStatus();
}

absl::Status OpenDeliveries::Take(const v1::DeliveryRange& range, size_t* budget, Chosen* chosen) {
  const size_t before = chosen->size();
  absl::Status status = Find(range, budget, chosen);
  for (size_t i = before; i < chosen->size(); ++i) Close(chosen->numbers[i]);
  return status;
}

void OpenDeliveries::Reopen(const Chosen& chosen) {
  for (size_t i = 0; i < chosen.size(); ++i) {
    Open(chosen.numbers[i], chosen.handles[i]);
  }
}

OpenDeliveries::Chosen OpenDeliveries::TakeBetween(uint64_t first, uint64_t end) {
  Chosen taken;
  ForEach([&](uint64_t number, const ReceiptHandle& handle) {
    if (number < first || number >= end) return;
    taken.numbers.push_back(number);
    taken.handles.push_back(handle);
  });
  for (const uint64_t number : taken.numbers) Close(number);
  return taken;
}

std::vector<ReceiptHandle> OpenDeliveries::Handles() const {
  std::vector<ReceiptHandle> handles;
  handles.reserve(size_);
  ForEach([&](uint64_t, const ReceiptHandle& handle) { handles.push_back(handle); });
  return handles;
}

}  // namespace barista::server
