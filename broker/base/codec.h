#ifndef BARISTA_BROKER_BASE_CODEC_H_
#define BARISTA_BROKER_BASE_CODEC_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "absl/strings/string_view.h"

// The integers of our rows. Values are little-endian, parts of keys big-endian (so that bytes sort
// as numbers do).
namespace barista {

static_assert(std::endian::native == std::endian::little,
              "the row formats are written for little-endian machines");

template <typename Int>
inline void StoreLittle(Int value, char* out) {
  std::memcpy(out, &value, sizeof(value));
}

template <typename Int>
inline Int LoadLittle(const char* in) {
  Int value;
  std::memcpy(&value, in, sizeof(value));
  return value;
}

template <typename Int>
inline void AppendLittle(Int value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

inline void StoreBig16(uint16_t value, char* out) { StoreLittle(__builtin_bswap16(value), out); }
inline void StoreBig32(uint32_t value, char* out) { StoreLittle(__builtin_bswap32(value), out); }
inline void StoreBig64(uint64_t value, char* out) { StoreLittle(__builtin_bswap64(value), out); }
inline uint16_t LoadBig16(const char* in) { return __builtin_bswap16(LoadLittle<uint16_t>(in)); }
inline uint32_t LoadBig32(const char* in) { return __builtin_bswap32(LoadLittle<uint32_t>(in)); }
inline uint64_t LoadBig64(const char* in) { return __builtin_bswap64(LoadLittle<uint64_t>(in)); }

// Seven bits a byte, lowest first, the top bit set on all but the last: 1 to 5 bytes.
inline size_t Varint32Bytes(uint32_t value) { return (std::bit_width(value | 1) + 6) / 7; }

inline char* StoreVarint32(uint32_t value, char* out) {
  for (; value >= 0x80; value >>= 7) *out++ = static_cast<char>(value | 0x80);
  *out++ = static_cast<char>(value);
  return out;
}

// Takes values off the front of untrusted bytes. Each Read… returns false, and leaves its result
// untouched, where the bytes end too early or a varint is too long.
class ByteReader {
 public:
  explicit ByteReader(absl::string_view bytes) : rest_(bytes) {}

  bool empty() const { return rest_.empty(); }
  size_t size() const { return rest_.size(); }

  template <typename Int>
  bool Read(Int* value) {
    if (rest_.size() < sizeof(Int)) return false;
    *value = LoadLittle<Int>(rest_.data());
    rest_.remove_prefix(sizeof(Int));
    return true;
  }

  bool ReadBytes(size_t size, absl::string_view* bytes) {
    if (rest_.size() < size) return false;
    *bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }

  bool ReadVarint32(uint32_t* value) {
    uint64_t result = 0;
    for (size_t i = 0; i < rest_.size() && i < 5; ++i) {
      const uint8_t byte = static_cast<uint8_t>(rest_[i]);
      result |= uint64_t{byte & 0x7fu} << (7 * i);
      if (byte < 0x80) {
        if (result > 0xffffffffu) return false;
        *value = static_cast<uint32_t>(result);
        rest_.remove_prefix(i + 1);
        return true;
      }
    }
    return false;
  }

  // A varint32 length and that many bytes.
  bool ReadPrefixed(absl::string_view* bytes) {
    const absl::string_view before = rest_;
    uint32_t size = 0;
    if (ReadVarint32(&size) && ReadBytes(size, bytes)) return true;
    rest_ = before;
    return false;
  }

 private:
  absl::string_view rest_;
};

}  // namespace barista

#endif  // BARISTA_BROKER_BASE_CODEC_H_
