#include "client/load/body_sizes.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace barista::load {
namespace {

absl::Status Check(size_t bytes) {
  if (bytes >= BodySizes::kLeast && bytes <= BodySizes::kMost) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("a body of ", bytes, " bytes is not in [",
                                                 BodySizes::kLeast, ", ", BodySizes::kMost, "]"));
}

}  // namespace

absl::StatusOr<BodySizes> BodySizes::InTurn(std::vector<size_t> sizes) {
  if (sizes.empty() || sizes.size() > kMaxSizes) {
    return absl::InvalidArgumentError(
        absl::StrCat(sizes.size(), " sizes of bodies; 1 to ", kMaxSizes, " are allowed"));
  }
  for (const size_t bytes : sizes) {
    if (absl::Status status = Check(bytes); !status.ok()) return status;
  }
  BodySizes result;
  result.sizes_ = std::move(sizes);
  return result;
}

absl::StatusOr<BodySizes> BodySizes::Between(size_t least, size_t most) {
  for (const size_t bytes : {least, most}) {
    if (absl::Status status = Check(bytes); !status.ok()) return status;
  }
  if (least > most) {
    return absl::InvalidArgumentError(
        absl::StrCat("bodies from ", least, " to ", most, " bytes: the smaller size comes first"));
  }
  BodySizes result;
  result.sizes_ = {least, most};
  result.range_ = true;
  return result;
}

size_t BodySizes::Of(uint64_t number) const {
  if (!range_) return sizes_[number % sizes_.size()];
  // Multiples of the golden ratio, without their whole part, are spread evenly.
  const uint64_t spread = (number * 0x9E3779B97F4A7C15u) >> 32;
  return sizes_[0] + static_cast<size_t>((spread * (sizes_[1] - sizes_[0] + 1)) >> 32);
}

size_t BodySizes::least() const { return *std::min_element(sizes_.begin(), sizes_.end()); }

size_t BodySizes::most() const { return *std::max_element(sizes_.begin(), sizes_.end()); }

std::string BodySizes::ToString() const { return absl::StrJoin(sizes_, range_ ? "-" : ","); }

}  // namespace barista::load
