#include "broker/server/open_deliveries.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "barista/error.h"

namespace barista::server {

uint64_t OpenDeliveries::Add(const ReceiptHandle& handle) {
  handles_.emplace(next_, handle);
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
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t number = range.first() + i;
    const auto it = handles_.find(number);
    if (it == handles_.end()) {
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
    chosen->handles.push_back(it->second);
  }
  *budget -= count;
  return absl::OkStatus();
}

absl::Status OpenDeliveries::Take(const v1::DeliveryRange& range, size_t* budget, Chosen* chosen) {
  const size_t before = chosen->size();
  absl::Status status = Find(range, budget, chosen);
  for (size_t i = before; i < chosen->size(); ++i) handles_.erase(chosen->numbers[i]);
  return status;
}

void OpenDeliveries::Reopen(const Chosen& chosen) {
  for (size_t i = 0; i < chosen.size(); ++i) {
    handles_.emplace(chosen.numbers[i], chosen.handles[i]);
  }
}

OpenDeliveries::Chosen OpenDeliveries::TakeBetween(uint64_t first, uint64_t end) {
  Chosen taken;
  for (auto it = handles_.begin(); it != handles_.end();) {
    if (it->first < first || it->first >= end) {
      ++it;
      continue;
    }
    taken.numbers.push_back(it->first);
    taken.handles.push_back(it->second);
    handles_.erase(it++);
  }
  return taken;
}

std::vector<ReceiptHandle> OpenDeliveries::Handles() const {
  std::vector<ReceiptHandle> handles;
  handles.reserve(handles_.size());
  for (const auto& [number, handle] : handles_) handles.push_back(handle);
  return handles;
}

}  // namespace barista::server
