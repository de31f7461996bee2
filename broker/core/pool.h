#ifndef BARISTA_BROKER_CORE_POOL_H_
#define BARISTA_BROKER_CORE_POOL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/types/span.h"
#include "broker/core/atomics.h"

namespace barista::core {

// Cells of one type, in arenas that are kept until the pool dies: a cell that was freed may be
// looked at at any time, by whoever still has its number. So whoever reads a cell that it does not
// own needs a way to tell that the cell has begun another life (a generation, an epoch), and
// nothing else: no hazard pointers, no epochs of readers.
//
// Thread-safe. Lock-free but for growth by an arena, which takes a lock. A batch costs one
// compare-and-swap. Do not use it for memory that has to be given back to the system.
//
// Cell is default-constructible once and has a member `Atomic<uint32_t> next_free`, which belongs
// to the pool while the cell is free.
template <typename Cell, uint32_t kArenaCells, uint32_t kMaxArenas, typename A = StdAtomics>
class BasicPool {
 public:
  BasicPool() : arenas_(new typename A::template Atomic<Cell*>[kMaxArenas]()) {}
  ~BasicPool() {
    for (uint32_t i = 0; i < size() / kArenaCells; ++i) {
      delete[] arenas_[i].load(std::memory_order_relaxed);
    }
  }
  BasicPool(const BasicPool&) = delete;
  BasicPool& operator=(const BasicPool&) = delete;

  // Fills `cells` with numbers of cells that belong to the caller until it frees them. False, and
  // nothing taken, if there are kArenaCells * kMaxArenas cells already, or the pool is closed.
  bool Allocate(absl::Span<uint32_t> cells) {
    for (;;) {
      // free_: {tag:32 | cell:32}, written by Allocate, Free and Grow (swaps only), read by them.
      // The release of each Free pairs with the acquire here: what the cell's last owner did to it
      // happened before what the next one does. (Swaps in between continue the release sequence.)
      // The tag counts the swaps: a list that was taken apart and put together again meanwhile is
      // not taken for the same.
      uint64_t head = free_.load(std::memory_order_acquire);
      uint32_t cell = CellOf(head);
      if (cell == kClosed) return false;
      size_t taken = 0;
      while (taken < cells.size() && cell != kNone) {
        // The list may be changing under us. Then what is read here is the number of some cell, at
        // worst of one in an arena that we do not see yet; the swap will fail.
        // arenas_: stored by Grow (release), read here (acquire): the pair makes the arena's cells
        // be what their construction left, for a walk that has the number from an unordered read.
        const Cell* const arena = arenas_[cell / kArenaCells].load(std::memory_order_acquire);
        if (arena == nullptr) break;
        cells[taken++] = cell;
        cell = arena[cell % kArenaCells].next_free.load(std::memory_order_relaxed);
      }
      if (taken < cells.size()) {
        if (cell == kNone && !Grow(head, cells.size() - taken)) return false;
      } else if (free_.compare_exchange_weak(head, Head(head, cell), std::memory_order_relaxed,
                                             std::memory_order_relaxed)) {
        return true;
      }
    }
  }

  // False, and the cells are not taken back, if the pool is closed.
  bool Free(absl::Span<const uint32_t> cells) {
    if (cells.empty()) return true;
    for (size_t i = 0; i + 1 < cells.size(); ++i) {
      At(cells[i]).next_free.store(cells[i + 1], std::memory_order_relaxed);
    }
    Cell& last = At(cells.back());
    uint64_t head = free_.load(std::memory_order_relaxed);
    do {
      if (CellOf(head) == kClosed) return false;
      last.next_free.store(CellOf(head), std::memory_order_relaxed);
    } while (!free_.compare_exchange_weak(head, Head(head, cells.front()),
                                          std::memory_order_release, std::memory_order_relaxed));
    return true;
  }

  // From now on nothing is allocated or taken back; how many cells were free. Once. O(free cells).
  size_t Close() {
    size_t free = 0;
    for (uint32_t cell = CellOf(free_.exchange(kClosed, std::memory_order_acquire)); cell != kNone;
         ++free) {
      cell = At(cell).next_free.load(std::memory_order_relaxed);
    }
    return free;
  }

  // Whoever has a cell's number has it from a swap behind the one that added its arena (or is below
  // a size that it has read), and sees the arena.
  Cell& At(uint32_t cell) const {
    Cell* const arena = arenas_[cell / kArenaCells].load(std::memory_order_relaxed);
    A::Relies(arena != nullptr);
    return arena[cell % kArenaCells];
  }

  // Cells that there are, free or not: numbers are below it. O(1).
  uint32_t size() const { return size_.load(std::memory_order_acquire); }

 private:
  template <typename T>
  using Atomic = typename A::template Atomic<T>;

  static constexpr uint32_t kNone = ~0u;
  static constexpr uint32_t kClosed = ~0u - 1;
  static_assert(uint64_t{kArenaCells} * kMaxArenas <= kClosed);

  static uint32_t CellOf(uint64_t head) { return static_cast<uint32_t>(head); }
  static uint64_t Head(uint64_t before, uint32_t cell) { return ((before >> 32) + 1) << 32 | cell; }

  // Adds arenas until `wanted` cells have come, unless the list is no longer what it was.
  bool Grow(uint64_t seen, size_t wanted) {
    typename A::MutexLock lock(&grow_mutex_);
    if (free_.load(std::memory_order_relaxed) != seen) return true;
    for (size_t added = 0; added < wanted; added += kArenaCells) {
      const uint32_t first = size_.load(std::memory_order_relaxed);
      if (first / kArenaCells == kMaxArenas) return false;
      Cell* const arena = new Cell[kArenaCells];
      for (uint32_t i = 0; i + 1 < kArenaCells; ++i) {
        arena[i].next_free.store(first + i + 1, std::memory_order_relaxed);
      }
      // The arena is stored before size_ passes it (release) and before its cells come into the
      // list (release): whoever read the size (acquire) or a number from a swap finds the arena.
      arenas_[first / kArenaCells].store(arena, std::memory_order_release);
      size_.store(first + kArenaCells, std::memory_order_release);
      uint64_t head = free_.load(std::memory_order_relaxed);
      do {
        arena[kArenaCells - 1].next_free.store(CellOf(head), std::memory_order_relaxed);
      } while (!free_.compare_exchange_weak(head, Head(head, first), std::memory_order_release,
                                            std::memory_order_relaxed));
    }
    return true;
  }

  const std::unique_ptr<Atomic<Cell*>[]> arenas_;
  Atomic<uint32_t> size_{0};
  typename A::Mutex grow_mutex_;
  alignas(64) Atomic<uint64_t> free_{kNone};
};

}  // namespace barista::core

#endif  // BARISTA_BROKER_CORE_POOL_H_
