#ifndef BARISTA_STORAGE_CRC32C_H_
#define BARISTA_STORAGE_CRC32C_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace barista::storage {

// The CRC of `bytes` with the Castagnoli polynomial (RFC 3720, appendix B.4), continuing from
// `crc`, the CRC of what lies before them. Uses the processor's instruction where there is one
// (about 10 GB/s). Thread-safe.
uint32_t Crc32c(absl::string_view bytes, uint32_t crc = 0);

// The same without the instruction (about 1 GB/s).
uint32_t PortableCrc32c(absl::string_view bytes, uint32_t crc = 0);

// A CRC as RocksDB's logs and blob files store it: rotated and offset, so that the CRC of bytes
// that hold a CRC is no special case.
constexpr uint32_t MaskCrc(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8u; }

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_CRC32C_H_
