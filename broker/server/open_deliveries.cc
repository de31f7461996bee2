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

absl::Status OpenDeliveries::Choose(const v1::DeliveryRange& range, Chosen* chosen) const {
  const uint64_t count = std::max<uint64_t>(range.count(), 1);
  if (count > kMaxChosen - chosen->size()) {
    const std::string limit = absl::StrCat(kMaxChosen, " deliveries in one request");
    return MakeError(absl::StatusCode::kInvalidArgument,
                     absl::StrCat("the request names ", count, " deliveries from ", range.first(),
                                  " on, beside ", chosen->size(), " others; limit ", limit),
                     {.reason = "InvalidParameterValue",
                      .field = "count",
                      .value = absl::StrCat(count),
                      .limit = limit});
  }
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t number = range.first() + i;
    const auto it = handles_.find(number);
    if (it == handles_.end()) {
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
  return absl::OkStatus();
}

void OpenDeliveries::Close(absl::Span<const uint64_t> numbers) {
  for (uint64_t number : numbers) handles_.erase(number);
}

OpenDeliveries::Chosen OpenDeliveries::Between(uint64_t first, uint64_t end) const {
  Chosen chosen;
  for (const auto& [number, handle] : handles_) {
    if (number < first || number >= end) continue;
    chosen.numbers.push_back(number);
    chosen.handles.push_back(handle);
  }
  return chosen;
}

}  // namespace barista::server
