#include "storage/keys.h"

#include <limits>

#include "broker/base/codec.h"

namespace barista::storage {
namespace {

constexpr uint16_t kSlot = 0;
constexpr uint64_t kSignBit = uint64_t{1} << 63;

uint64_t FromTime(int64_t ms) { return static_cast<uint64_t>(ms) ^ kSignBit; }
int64_t ToTime(uint64_t encoded) { return static_cast<int64_t>(encoded ^ kSignBit); }

}  // namespace

class KeyWriter {
 public:
  KeyWriter& Byte(uint8_t value) {
    key_.bytes_[key_.size_++] = static_cast<char>(value);
    return *this;
  }
  KeyWriter& Queue(uint64_t queue) {
    StoreBig16(kSlot, Advance(2));
    StoreBig32(static_cast<uint32_t>(queue), Advance(4));
    return *this;
  }
  KeyWriter& Number(uint64_t value) {
    StoreBig64(value, Advance(8));
    return *this;
  }
  Key Finish() const { return key_; }

 private:
  char* Advance(uint8_t size) {
    char* const at = key_.bytes_.data() + key_.size_;
    key_.size_ += size;
    return at;
  }
  Key key_;
};

Key Key::Queue(QueueId queue) { return KeyWriter().Queue(queue.value()).Finish(); }

Key Key::AfterQueue(QueueId queue) {
  if (queue.value() == std::numeric_limits<uint32_t>::max()) {
    return KeyWriter().Byte(0).Byte(kSlot + 1).Finish();
  }
  return KeyWriter().Queue(uint64_t{queue.value()} + 1).Finish();
}

Key Key::Message(QueueId queue, Sequence sequence) {
  return KeyWriter().Queue(queue.value()).Number(sequence.value()).Finish();
}

Key Key::Delayed(QueueId queue, int64_t due_ms, uint64_t id) {
  return KeyWriter().Queue(queue.value()).Number(FromTime(due_ms)).Number(id).Finish();
}

Key Key::Expiry(QueueId queue, Batch::ExpiryKind kind, int64_t at_ms, Sequence sequence) {
  return KeyWriter()
      .Queue(queue.value())
      .Byte(static_cast<uint8_t>(kind))
      .Number(FromTime(at_ms))
      .Number(sequence.value())
      .Finish();
}

Key Key::Definition(QueueId queue) {
  return KeyWriter().Byte(kDefinitionTag).Queue(queue.value()).Finish();
}

Key Key::Counters(QueueId queue) {
  return KeyWriter().Byte(kCounterTag).Queue(queue.value()).Finish();
}

bool ParseQueuePrefix(absl::string_view key, QueueId* queue) {
  if (key.size() < kQueuePrefixBytes || LoadBig16(key.data()) != kSlot) return false;
  *queue = QueueId(LoadBig32(key.data() + 2));
  return true;
}

bool ParseMessageKey(absl::string_view key, QueueId* queue, Sequence* sequence) {
  if (key.size() != kQueuePrefixBytes + 8 || !ParseQueuePrefix(key, queue)) return false;
  *sequence = Sequence(LoadBig64(key.data() + kQueuePrefixBytes));
  return true;
}

bool ParseDelayedKey(absl::string_view key, int64_t* due_ms, uint64_t* id) {
  if (key.size() != kQueuePrefixBytes + 16) return false;
  *due_ms = ToTime(LoadBig64(key.data() + kQueuePrefixBytes));
  *id = LoadBig64(key.data() + kQueuePrefixBytes + 8);
  return true;
}

bool ParseExpiryKey(absl::string_view key, Batch::ExpiryKind* kind, int64_t* at_ms,
                    Sequence* sequence) {
  if (key.size() != kQueuePrefixBytes + 17) return false;
  *kind = static_cast<Batch::ExpiryKind>(key[kQueuePrefixBytes]);
  *at_ms = ToTime(LoadBig64(key.data() + kQueuePrefixBytes + 1));
  *sequence = Sequence(LoadBig64(key.data() + kQueuePrefixBytes + 9));
  return true;
}

bool ParseQueueRowKey(absl::string_view key, char tag, QueueId* queue) {
  if (key.size() != 1 + kQueuePrefixBytes || key[0] != tag || LoadBig16(key.data() + 1) != kSlot)
    return false;
  *queue = QueueId(LoadBig32(key.data() + 3));
  return true;
}

}  // namespace barista::storage
