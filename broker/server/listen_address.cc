#include "broker/server/listen_address.h"

#include <boost/asio/ip/address.hpp>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace barista::server {
namespace {

constexpr size_t kMaxUnixPathBytes = 107;  // sockaddr_un

absl::Status NotAnAddress(absl::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", text, "\" is not HOST:PORT, [IPV6]:PORT or unix:PATH; ports are 0 to 65535"));
}

bool IsLoopback(const std::string& host) {
  if (absl::EqualsIgnoreCase(host, "localhost")) return true;
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(host, error);
  return !error && address.is_loopback();
}

}  // namespace

std::string ListenAddress::ToString() const {
  if (!unix_path.empty()) return absl::StrCat("unix:", unix_path);
  if (absl::StrContains(host, ':')) return absl::StrCat("[", host, "]:", port);
  return absl::StrCat(host, ":", port);
}

absl::StatusOr<ListenAddress> ParseListenAddress(absl::string_view text) {
  ListenAddress address;
  absl::string_view rest = text;
  if (absl::ConsumePrefix(&rest, "unix:")) {
    if (rest.empty() || rest.size() > kMaxUnixPathBytes) {
      return absl::InvalidArgumentError(absl::StrCat("\"", text, "\": the path has ", rest.size(),
                                                     " bytes; allowed are 1 to ",
                                                     kMaxUnixPathBytes));
    }
    address.unix_path = std::string(rest);
    return address;
  }
  const size_t colon = rest.rfind(':');
  if (colon == absl::string_view::npos) return NotAnAddress(text);
  const absl::string_view port = rest.substr(colon + 1);
  absl::string_view host = rest.substr(0, colon);
  if (absl::ConsumePrefix(&host, "[")) {
    if (!absl::ConsumeSuffix(&host, "]")) return NotAnAddress(text);
  } else if (absl::StrContains(host, ':')) {
    return NotAnAddress(text);
  }
  uint32_t number = 0;
  if (host.empty() || port.empty() || !absl::ascii_isdigit(port[0]) ||
      !absl::SimpleAtoi(port, &number) || number > 65535) {
    return NotAnAddress(text);
  }
  address.host = std::string(host);
  address.port = static_cast<uint16_t>(number);
  address.is_loopback = IsLoopback(address.host);
  return address;
}

}  // namespace barista::server
