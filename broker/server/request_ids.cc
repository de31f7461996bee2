#include "broker/server/request_ids.h"

#include <algorithm>
#include <random>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace barista::server {

RequestIds::RequestIds() : process_(std::random_device()()) {}

std::string RequestIds::Next() {
  return absl::StrCat(absl::Hex(process_, absl::kZeroPad8), "-",
                      absl::Hex(next_.fetch_add(1, std::memory_order_relaxed)));
}

bool RequestIds::IsSane(absl::string_view id) {
  return !id.empty() && id.size() <= kMaxBytes && std::all_of(id.begin(), id.end(), [](char c) {
    return absl::ascii_isgraph(static_cast<unsigned char>(c));
  });
}

}  // namespace barista::server
