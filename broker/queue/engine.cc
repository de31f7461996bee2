#include "broker/queue/engine.h"

#include <array>
#include <cstring>

#include "broker/message/payload.h"

namespace barista::internal {
namespace {

// A bijection on 64 bits that scatters neighbours (the finalizer of MurmurHash3).
uint64_t Mix(uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccd;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53;
  return x ^ (x >> 33);
}

}  // namespace

Engine::~Engine() {
  in_flight_order.Clear();
  for (uint32_t i = 0; i < slab.size(); ++i) {
    if (Payload* payload = slab.At(i).payload; payload != nullptr) payload->Unref();
  }
  payloads->Orphan();
}

MessageId Engine::NewMessageId() {
  const uint64_t low = Mix(id_seed + id_counter.fetch_add(1, std::memory_order_relaxed));
  // The version and variant of a random UUID take six bits. Those of the low half move into the
  // high half, so that nothing of the bijection is lost: high = {48 random bits, version, 10 random
  // bits, 2 bits of low}.
  const uint64_t high = (id_high & 0xffffffffffff0ffc) | 0x4000 | (low >> 62);
  const uint64_t tail = (low & 0x3fffffffffffffff) | 0x8000000000000000;
  const uint64_t halves[] = {__builtin_bswap64(high), __builtin_bswap64(tail)};  // big-endian
  std::array<uint8_t, MessageId::kSize> bytes;
  static_assert(sizeof(halves) == MessageId::kSize);
  std::memcpy(bytes.data(), halves, sizeof(halves));
  return MessageId(bytes);
}

}  // namespace barista::internal
