#ifndef BARISTA_BROKER_MESSAGE_PAYLOAD_H_
#define BARISTA_BROKER_MESSAGE_PAYLOAD_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#include "absl/strings/string_view.h"
#include "broker/message/message_record.h"
#include "broker/message/payload_pool.h"

namespace barista::internal {

// The encoded record of one message in memory, reference-counted: shared by the slot that keeps it,
// the batch that stores it and the received messages that show it. Immutable after Create, so
// readers need no lock. `pool` may be null.
class Payload {
 public:
  // Room for `bytes` with one reference, to be filled by the caller.
  static Payload* Create(PayloadPool* pool, size_t bytes) {
    const size_t all = sizeof(Payload) + bytes;
    PayloadPool::Place place;
    void* memory = pool == nullptr ? nullptr : pool->Allocate(all, &place);
    if (memory == nullptr) {
      pool = nullptr;
      memory = std::malloc(all);
    }
    return new (memory) Payload(bytes, pool, place);
  }
  static Payload* Copy(PayloadPool* pool, absl::string_view record) {
    Payload* payload = Create(pool, record.size());
    std::memcpy(payload->data(), record.data(), record.size());
    return payload;
  }
  static Payload* Encode(PayloadPool* pool, const MessageRecord& record) {
    Payload* payload = Create(pool, EncodedBytes(record));
    EncodeRecord(record, payload->data());
    return payload;
  }

  // references_: relaxed to add (the caller has one already); the last to drop acquires what the
  // others released before theirs.
  void Ref() { references_.fetch_add(1, std::memory_order_relaxed); }
  void Unref() {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    PayloadPool* const pool = pool_;
    const PayloadPool::Place place = place_;
    this->~Payload();
    if (pool != nullptr) {
      pool->Free(place);
    } else {
      std::free(this);
    }
  }

  absl::string_view record() const {
    return absl::string_view(const_cast<Payload*>(this)->data(), bytes_);
  }
  // The fixed parts, without decoding the rest (message_record.h).
  int64_t sent_ms() const { return Field<int64_t>(16); }
  MessageId message_id() const {
    std::array<uint8_t, MessageId::kSize> id;
    std::memcpy(id.data(), record().data() + 24, id.size());
    return MessageId(id);
  }
  // Whether there may be optional fields (group id, sender, count before a move …).
  bool has_fields() const { return Field<uint32_t>(4) != 0; }
  bool has_attributes() const { return Field<uint32_t>(8) != 0; }
  absl::string_view body() const {
    return record().substr(kMessageRecordHeaderBytes + Field<uint32_t>(4) + Field<uint32_t>(8));
  }
  char* data() { return reinterpret_cast<char*>(this) + sizeof(Payload); }
  size_t bytes() const { return bytes_; }

 private:
  template <typename T>
  T Field(size_t offset) const {
    T value;
    std::memcpy(&value, record().data() + offset, sizeof(value));
    return value;
  }
  Payload(size_t bytes, PayloadPool* pool, PayloadPool::Place place)
      : bytes_(static_cast<uint32_t>(bytes)), place_(place), pool_(pool) {}
  ~Payload() = default;

  std::atomic<uint32_t> references_{1};
  const uint32_t bytes_;
  const PayloadPool::Place place_;
  PayloadPool* const pool_;  // null: malloc's
};

}  // namespace barista::internal

#endif  // BARISTA_BROKER_MESSAGE_PAYLOAD_H_
