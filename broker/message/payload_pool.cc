#include "broker/message/payload_pool.h"

#include <algorithm>
#include <iterator>

#include "absl/types/span.h"

namespace barista::internal {

void* PayloadPool::Allocate(size_t bytes, Place* place) {
  const size_t* const fits =
      std::lower_bound(std::begin(kClassBytes), std::end(kClassBytes), bytes);
  if (fits == std::end(kClassBytes)) return nullptr;
  place->size_class = static_cast<uint8_t>(fits - std::begin(kClassBytes));
  void* memory = nullptr;
  With(place->size_class, [&](auto& pool) {
    if (pool.Allocate(absl::MakeSpan(&place->cell, 1))) memory = pool.At(place->cell).bytes;
  });
  return memory;
}

void PayloadPool::Free(Place place) {
  bool open = true;
  With(place.size_class,
       [&](auto& pool) { open = pool.Free(absl::MakeConstSpan(&place.cell, 1)); });
  if (!open) Settle(-1);
}

void PayloadPool::Orphan() {
  int64_t out = 0;
  WithEach(Classes(), [&](size_t, auto& pool) {
    const size_t free = pool.Close();
    out += static_cast<int64_t>(pool.size() - free);
  });
  if (out == 0) {
    delete this;  // Nobody else can come: who frees has a cell that is out.
  } else {
    Settle(out);
  }
}

void PayloadPool::Settle(int64_t cells) {
  if (out_.fetch_add(cells, std::memory_order_acq_rel) + cells == 0) delete this;
}

}  // namespace barista::internal
