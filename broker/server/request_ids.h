#ifndef BROKER_SERVER_REQUEST_IDS_H_
#define BROKER_SERVER_REQUEST_IDS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace barista::server {

// The name of the metadata entry, or header, in which the id of a request travels both ways.
inline constexpr char kRequestIdName[] = "x-request-id";

// Makes ids for requests that bring none: a few random digits, and a number. Thread-safe.
class RequestIds {
 public:
  static constexpr size_t kMaxBytes = 128;

  RequestIds();

  // No other one like it, most likely also not from another process.
  std::string Next();

  // Whether an id that a client gives is taken: 1 to kMaxBytes of printable ASCII without spaces.
  static bool IsSane(absl::string_view id);

 private:
  const uint32_t process_;
  std::atomic<uint64_t> next_{1};  // publishes nothing: relaxed
};

}  // namespace barista::server

#endif  // BROKER_SERVER_REQUEST_IDS_H_
