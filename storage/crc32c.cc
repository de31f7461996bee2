#include "storage/crc32c.h"

#include <array>
#include <cstddef>

#include "broker/base/codec.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace barista::storage {
namespace {

constexpr uint32_t kReversedPolynomial = 0x82f63b78;

// tables[k][b]: what byte b does to the CRC when k more bytes follow it.
using Tables = std::array<std::array<uint32_t, 256>, 8>;

constexpr Tables MakeTables() {
  Tables tables{};
  for (uint32_t b = 0; b < 256; ++b) {
    uint32_t crc = b;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kReversedPolynomial : 0);
    tables[0][b] = crc;
  }
  for (size_t k = 1; k < tables.size(); ++k) {
    for (size_t b = 0; b < 256; ++b) {
      const uint32_t before = tables[k - 1][b];
      tables[k][b] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

constexpr Tables kTables = MakeTables();

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t HardwareCrc32c(absl::string_view bytes, uint32_t crc) {
  uint64_t state = ~crc;
  const char* p = bytes.data();
  size_t size = bytes.size();
  for (; size >= 8; size -= 8, p += 8) state = _mm_crc32_u64(state, LoadLittle<uint64_t>(p));
  uint32_t tail = static_cast<uint32_t>(state);
  for (; size > 0; --size, ++p) tail = _mm_crc32_u8(tail, static_cast<uint8_t>(*p));
  return ~tail;
}
#endif

}  // namespace

uint32_t PortableCrc32c(absl::string_view bytes, uint32_t crc) {
  uint32_t state = ~crc;
  const char* p = bytes.data();
  size_t size = bytes.size();
  for (; size >= 8; size -= 8, p += 8) {
    const uint64_t word = LoadLittle<uint64_t>(p) ^ state;
    state = 0;
    for (size_t i = 0; i < 8; ++i) state ^= kTables[7 - i][word >> (8 * i) & 0xff];
  }
  for (; size > 0; --size, ++p) {
    state = (state >> 8) ^ kTables[0][(state ^ static_cast<uint8_t>(*p)) & 0xff];
  }
  return ~state;
}

uint32_t Crc32c(absl::string_view bytes, uint32_t crc) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return HardwareCrc32c(bytes, crc);
#endif
  return PortableCrc32c(bytes, crc);
}

}  // namespace barista::storage
