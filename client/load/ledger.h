#ifndef BARISTA_CLIENT_LOAD_LEDGER_H_
#define BARISTA_CLIENT_LOAD_LEDGER_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/load/body_sizes.h"

namespace barista::load {

// A set of numbers from 0 on, dense. Thread-safe, lock-free. Memory: an eighth of a byte per
// number, in chunks of 32 KiB.
class NumberSet {
 public:
  static constexpr uint64_t kLimit = uint64_t{1} << 32;

  NumberSet();
  ~NumberSet();
  NumberSet(const NumberSet&) = delete;
  NumberSet& operator=(const NumberSet&) = delete;

  // True if `number` was not in the set. `number` < kLimit.
  bool Insert(uint64_t number);
  bool Contains(uint64_t number) const;

 private:
  static constexpr uint64_t kChunkBits = uint64_t{1} << 18;
  using Chunk = std::array<std::atomic<uint64_t>, kChunkBits / 64>;

  // A chunk is published by the thread that first needs it (release) and used by all (acquire), so
  // its zeros are seen.
  std::unique_ptr<std::atomic<Chunk*>[]> chunks_;
};

// What a message of the load generator says about itself.
struct LoadMessage {
  uint32_t producer = 0;
  uint64_t number = 0;      // counts the producer's messages
  int64_t intended_ns = 0;  // when it should have been sent, steady clock
};

// The text of messages: a header of hexadecimal digits {run, producer, number, intended time} and
// filler, as long as the number says. Immutable.
class MessageText {
 public:
  static constexpr size_t kHeaderBytes = 8 + 8 + 16 + 16;
  static_assert(BodySizes::kLeast == kHeaderBytes);

  // `run` tells messages of this run from those of others.
  MessageText(uint32_t run, BodySizes sizes);

  const BodySizes& sizes() const { return sizes_; }
  // Writes sizes().Of(message.number) bytes to `out`, and says how many these are.
  size_t Write(const LoadMessage& message, char* out) const;
  // Nullopt if `body` is not, to the last byte, what Write writes.
  std::optional<LoadMessage> Read(absl::string_view body) const;

 private:
  BodySizes sizes_;
  std::string pattern_;  // the longest body, with the run filled in
};

// Judges deliveries: every acknowledged message is received at least once, nothing else is
// received. Thread-safe.
class Ledger {
 public:
  struct Verdict {
    uint64_t acknowledged = 0;
    uint64_t delivered = 0;   // distinct messages
    uint64_t lost = 0;        // acknowledged and not delivered
    uint64_t duplicates = 0;  // deliveries of a message after its first
    uint64_t foreign = 0;     // deliveries of what was never sent, or was altered
    bool exact() const { return lost == 0 && duplicates == 0 && foreign == 0; }
  };

  Ledger(int producers, MessageText text);

  const MessageText& text() const { return text_; }
  // Before the message is sent.
  void Sent(const LoadMessage& message);
  void Acknowledged(const LoadMessage& message);
  // A received body; nullopt if it is not one of ours (and counted as foreign).
  std::optional<LoadMessage> Delivered(absl::string_view body);

  // Messages acknowledged and not yet delivered; exact when nothing is under way.
  int64_t outstanding() const;
  // O(messages). When nothing is under way.
  Verdict Judge() const;

 private:
  struct Producer {
    NumberSet acknowledged, delivered;
    std::atomic<uint64_t> sent{0};  // numbers below it were sent
  };

  MessageText text_;
  std::vector<std::unique_ptr<Producer>> producers_;
  // Counters, relaxed.
  std::atomic<int64_t> acknowledged_{0}, delivered_{0};
  std::atomic<uint64_t> duplicates_{0}, foreign_{0};
};

}  // namespace barista::load

#endif  // BARISTA_CLIENT_LOAD_LEDGER_H_
