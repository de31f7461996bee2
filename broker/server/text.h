#ifndef BROKER_SERVER_TEXT_H_
#define BROKER_SERVER_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace barista::server {

// Whether `bytes` is well-formed UTF-8 (no surrogates, nothing overlong, up to U+10FFFF). O(bytes).
bool IsUtf8(absl::string_view bytes);

// `bytes` itself if it is UTF-8, else with every byte outside of ASCII written as \xNN. Protobuf
// strings, JSON and metrics labels must be UTF-8, what they quote need not be.
std::string ToUtf8(absl::string_view bytes);

}  // namespace barista::server

#endif  // BROKER_SERVER_TEXT_H_
