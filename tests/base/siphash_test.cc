#include "broker/base/siphash.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>

namespace barista {
namespace {

// Vectors of the reference implementation: key 00 01 … 0f, messages of 0, 1, 7, 8, 15 and 63 bytes
// 00 01 02 ….
TEST(SipHashTest, AgreesWithTheReferenceVectors) {
  std::array<uint8_t, 64> bytes;
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i);
  SipKey key;
  std::memcpy(&key, bytes.data(), sizeof(key));
  EXPECT_EQ(SipHash(key, bytes.data(), 0), 0x726fdb47dd0e0e31u);
  EXPECT_EQ(SipHash(key, bytes.data(), 1), 0x74f839c593dc67fdu);
  EXPECT_EQ(SipHash(key, bytes.data(), 7), 0xab0200f58b01d137u);
  EXPECT_EQ(SipHash(key, bytes.data(), 8), 0x93f5f5799a932462u);
  EXPECT_EQ(SipHash(key, bytes.data(), 15), 0xa129ca6149be45e5u);
  EXPECT_EQ(SipHash(key, bytes.data(), 63), 0x958a324ceb064572u);
}

TEST(SipHashTest, EveryKeyBitAndEveryMessageByteCounts) {
  const std::array<uint8_t, 36> message{};
  const uint64_t base = SipHash({1, 2}, message.data(), message.size());
  for (int bit = 0; bit < 64; ++bit) {
    EXPECT_NE(SipHash({1 ^ (uint64_t{1} << bit), 2}, message.data(), message.size()), base);
    EXPECT_NE(SipHash({1, 2 ^ (uint64_t{1} << bit)}, message.data(), message.size()), base);
  }
  for (size_t i = 0; i < message.size(); ++i) {
    std::array<uint8_t, 36> changed = message;
    changed[i] = 1;
    EXPECT_NE(SipHash({1, 2}, changed.data(), changed.size()), base);
  }
}

}  // namespace
}  // namespace barista
