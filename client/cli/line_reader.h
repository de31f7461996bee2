#ifndef BARISTA_CLIENT_CLI_LINE_READER_H_
#define BARISTA_CLIENT_CLI_LINE_READER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace barista::cli {

// Reads a file descriptor line by line without ever waiting for more than the caller asks for.
// Lines end with "\n", the last one also with the end of the input, and may hold any other byte.
// Thread-compatible. Borrows the descriptor. Memory: the longest line kept, and 64 KiB.
class LineReader {
 public:
  // Of a line that is longer, only the first `max_line_bytes` are kept.
  LineReader(int fd, size_t max_line_bytes);

  struct Line {
    std::string text;
    int64_t number = 0;  // from 1
    int64_t bytes = 0;   // of the whole line, without its end
  };

  // The next line into `line`; false at the end of the input. Blocks. An error of the system as
  // kUnknown.
  absl::StatusOr<bool> Next(Line& line);

  // Whether Next() would find bytes, or the end, without waiting for them.
  bool Ready() const;

 private:
  const int fd_;
  const size_t max_line_bytes_;
  std::string chunk_;
  size_t used_ = 0;  // of chunk_
  bool at_end_ = false;
  int64_t number_ = 0;
};

}  // namespace barista::cli

#endif  // BARISTA_CLIENT_CLI_LINE_READER_H_
