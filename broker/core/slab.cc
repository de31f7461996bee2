#include "broker/core/slab.h"

#include "absl/container/inlined_vector.h"

namespace barista::core {

bool Slab::Allocate(absl::Span<MsgId> ids) {
  absl::InlinedVector<uint32_t, 64> slots(ids.size());
  if (!pool_.Allocate(absl::MakeSpan(slots))) return false;
  for (size_t i = 0; i < ids.size(); ++i) {
    Slot& slot = pool_.At(slots[i]);
    uint32_t generation = Word(slot.word.load(std::memory_order_relaxed)).generation() + 1;
    if (generation == 0) generation = 1;
    // Seen by others with the word that the caller stores next.
    slot.word.store(Word(generation, State::kFree, 0).bits(), std::memory_order_relaxed);
    ids[i] = MsgId::Of(slots[i], generation);
  }
  return true;
}

void Slab::Free(absl::Span<const MsgId> ids) {
  absl::InlinedVector<uint32_t, 64> slots;
  slots.reserve(ids.size());
  for (MsgId id : ids) slots.push_back(id.slot());
  pool_.Free(slots);
}

}  // namespace barista::core
