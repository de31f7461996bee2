#include "broker/core/slab.h"

#include <new>

namespace barista::core {

Slab::Slab() : arenas_(new std::atomic<Slot*>[kMaxArenas]()) {}

Slab::~Slab() {
  const uint32_t arenas = (size_.load() + kArenaSlots - 1) / kArenaSlots;
  for (uint32_t i = 0; i < arenas; ++i) delete[] arenas_[i].load();
}

bool Slab::Allocate(absl::Span<MsgId> ids) {
  MutexLock lock(&mutex_);
  size_t taken = 0;
  for (; taken < ids.size(); ++taken) {
    if (free_ == kNone) {
      const uint32_t size = size_.load(std::memory_order_relaxed);
      const uint32_t arena = size / kArenaSlots;
      if (arena >= kMaxArenas) break;
      Slot* slots = new Slot[kArenaSlots];
      for (uint32_t i = 0; i < kArenaSlots; ++i)
        slots[i].next_free = i + 1 < kArenaSlots ? size + i + 1 : kNone;
      arenas_[arena].store(slots, std::memory_order_release);
      size_.store(size + kArenaSlots, std::memory_order_release);
      free_ = size;
    }
    const uint32_t index = free_;
    Slot& slot = At(index);
    free_ = slot.next_free;
    uint32_t generation = Word(slot.word.load(std::memory_order_relaxed)).generation() + 1;
    if (generation == 0) generation = 1;
    slot.word.store(Word(generation, State::kFree, 0).bits(), std::memory_order_release);
    ids[taken] = MsgId::Of(index, generation);
  }
  if (taken == ids.size()) return true;
  for (size_t i = 0; i < taken; ++i) {
    At(ids[i]).next_free = free_;
    free_ = ids[i].slot();
  }
  return false;
}

void Slab::Free(absl::Span<const MsgId> ids) {
  MutexLock lock(&mutex_);
  for (MsgId id : ids) {
    At(id).next_free = free_;
    free_ = id.slot();
  }
}

}  // namespace barista::core
