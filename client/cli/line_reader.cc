#include "client/cli/line_reader.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace barista::cli {
namespace {

constexpr size_t kChunkBytes = 64 << 10;

}  // namespace

LineReader::LineReader(int fd, size_t max_line_bytes) : fd_(fd), max_line_bytes_(max_line_bytes) {}

absl::StatusOr<bool> LineReader::Next(Line& line) {
  line = Line{};
  for (;;) {
    if (used_ == chunk_.size() && !at_end_) {
      chunk_.resize(kChunkBytes);
      used_ = 0;
      ssize_t got = 0;
      do {
        got = read(fd_, chunk_.data(), chunk_.size());
      } while (got < 0 && errno == EINTR);
      if (got < 0) {
        const int error = errno;
        chunk_.clear();
        return absl::UnknownError(absl::StrCat("the input cannot be read: ", std::strerror(error)));
      }
      chunk_.resize(static_cast<size_t>(got));
      at_end_ = got == 0;
    }
    const size_t end = std::min(chunk_.find('\n', used_), chunk_.size());
    const size_t length = end - used_;
    const size_t room = max_line_bytes_ - std::min(max_line_bytes_, line.text.size());
    line.text.append(chunk_, used_, std::min(length, room));
    line.bytes += static_cast<int64_t>(length);
    used_ = end;
    if (used_ < chunk_.size()) {
      ++used_;  // the "\n"
      line.number = ++number_;
      return true;
    }
    if (at_end_) {
      if (line.bytes == 0) return false;
      line.number = ++number_;
      return true;
    }
  }
}

bool LineReader::Ready() const {
  if (used_ < chunk_.size() || at_end_) return true;
  pollfd poll_fd{fd_, POLLIN, 0};
  return poll(&poll_fd, 1, 0) != 0;
}

}  // namespace barista::cli
