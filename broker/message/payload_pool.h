#ifndef BARISTA_BROKER_MESSAGE_PAYLOAD_POOL_H_
#define BARISTA_BROKER_MESSAGE_PAYLOAD_POOL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <utility>

#include "broker/core/pool.h"

namespace barista::internal {

// Memory of messages up to kMaxBytes, by size classes: what is sent and deleted in turn costs no
// malloc. Beyond 8 MiB of one class, and for larger messages, there is malloc. Thread-safe.
//
// A message may outlive its broker, in the hands of whoever received it. So the broker does not
// destroy its pool but orphans it, and the last message that comes back does.
class PayloadPool {
 public:
  // Where a message lies: given back with it.
  struct Place {
    uint32_t cell = 0;
    uint8_t size_class = 0;
  };
  static constexpr size_t kClassBytes[] = {128, 256, 512, 768, 1152, 2176, 3200, 4352};
  static constexpr size_t kMaxBytes = kClassBytes[std::size(kClassBytes) - 1];

  PayloadPool() = default;
  PayloadPool(const PayloadPool&) = delete;
  PayloadPool& operator=(const PayloadPool&) = delete;

  // Null: too large, or the class is full.
  void* Allocate(size_t bytes, Place* place);
  void Free(Place place);

  // Once, by the owner, who may not use the pool any more: others may still free.
  void Orphan();

 private:
  static constexpr size_t kArenaBytes = 256 << 10;
  static constexpr uint32_t kMaxArenas = 32;

  template <size_t kBytes>
  struct Cell {
    std::atomic<uint32_t> next_free{0};  // the pool's
    alignas(8) char bytes[kBytes];
  };
  template <typename Indices>
  struct PoolsOf;
  template <size_t... kIndex>
  struct PoolsOf<std::index_sequence<kIndex...>> {
    using Type = std::tuple<core::BasicPool<Cell<kClassBytes[kIndex]>,
                                            kArenaBytes / kClassBytes[kIndex], kMaxArenas>...>;
  };
  using Classes = std::make_index_sequence<std::size(kClassBytes)>;

  // Calls f(pool) with the pool of the class.
  template <typename F>
  void With(uint8_t size_class, F&& f) {
    WithEach(Classes(), [&](size_t index, auto& pool) {
      if (index == size_class) f(pool);
    });
  }
  template <size_t... kIndex, typename F>
  void WithEach(std::index_sequence<kIndex...>, F&& f) {
    (f(kIndex, std::get<kIndex>(pools_)), ...);
  }
  void Settle(int64_t cells);

  PoolsOf<Classes>::Type pools_;
  // Orphaned: cells that are still out. Added to by Orphan, taken from by each Free behind it
  // (acq_rel, both): whoever brings it to zero comes after all others, and destroys the pool.
  std::atomic<int64_t> out_{0};
};

}  // namespace barista::internal

#endif  // BARISTA_BROKER_MESSAGE_PAYLOAD_POOL_H_
