#include "broker/queue/receipt.h"

#include <array>
#include <cstring>

namespace barista::internal {
namespace {

// The bytes of a handle: six fields and the hash of them. In memory of clients only, so host byte
// order will do.
struct Layout {
  uint32_t boot;
  uint32_t queue;
  uint32_t sequence_high;
  uint32_t sequence_low;
  uint32_t slot;
  uint32_t generation;
  uint32_t receives;
  uint32_t tag_high;
  uint32_t tag_low;
};
static_assert(sizeof(Layout) == ReceiptHandle::kSize);
constexpr size_t kSealedBytes = offsetof(Layout, tag_high);

}  // namespace

ReceiptHandle SealReceipt(const Receipt& receipt, const SipKey& key) {
  Layout layout{};
  layout.boot = receipt.boot;
  layout.queue = receipt.queue.value();
  layout.sequence_high = static_cast<uint32_t>(receipt.sequence.value() >> 32);
  layout.sequence_low = static_cast<uint32_t>(receipt.sequence.value());
  layout.slot = receipt.message.slot();
  layout.generation = receipt.message.generation();
  layout.receives = receipt.receives;
  const uint64_t tag = SipHash(key, &layout, kSealedBytes);
  layout.tag_high = static_cast<uint32_t>(tag >> 32);
  layout.tag_low = static_cast<uint32_t>(tag);
  std::array<uint8_t, ReceiptHandle::kSize> bytes;
  std::memcpy(bytes.data(), &layout, sizeof(layout));
  return ReceiptHandle(bytes);
}

std::optional<Receipt> OpenReceipt(const ReceiptHandle& handle, const SipKey& key) {
  Layout layout;
  std::memcpy(&layout, handle.bytes().data(), sizeof(layout));
  const uint64_t tag = SipHash(key, &layout, kSealedBytes);
  const uint64_t shown = uint64_t{layout.tag_high} << 32 | layout.tag_low;
  // One comparison of 64 bits: its time tells nothing of the tag.
  if (tag != shown) return std::nullopt;
  Receipt receipt;
  receipt.boot = layout.boot;
  receipt.queue = QueueId(layout.queue);
  receipt.sequence = Sequence(uint64_t{layout.sequence_high} << 32 | layout.sequence_low);
  receipt.message = core::MsgId::Of(layout.slot, layout.generation);
  receipt.receives = layout.receives;
  return receipt;
}

}  // namespace barista::internal
