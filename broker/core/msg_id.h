#ifndef BARISTA_BROKER_CORE_MSG_ID_H_
#define BARISTA_BROKER_CORE_MSG_ID_H_

#include <cstdint>

namespace barista::core {

// Names one life of one slot: {generation:32 | slot:32}. The generation is never 0, so 0 names
// nothing.
struct MsgId {
  uint64_t bits = 0;

  static constexpr MsgId Of(uint32_t slot, uint32_t generation) {
    return MsgId{uint64_t{generation} << 32 | slot};
  }
  // An id of a slot that may be looked up, and that never lives there.
  static constexpr MsgId Nobody() { return Of(1, 0); }
  constexpr uint32_t slot() const { return static_cast<uint32_t>(bits); }
  constexpr uint32_t generation() const { return static_cast<uint32_t>(bits >> 32); }
  friend constexpr bool operator==(MsgId a, MsgId b) { return a.bits == b.bits; }
};

}  // namespace barista::core

#endif  // BARISTA_BROKER_CORE_MSG_ID_H_
