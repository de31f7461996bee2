#ifndef BROKER_SERVER_OPEN_DELIVERIES_H_
#define BROKER_SERVER_OPEN_DELIVERIES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "barista/message.h"
#include "barista/v1/queue.pb.h"

namespace barista::server {

// What a ConsumeStream has delivered and its client has not settled yet: receipt handles by the
// numbers of the deliveries. Not thread-safe.
class OpenDeliveries {
 public:
  // Some deliveries: `handles[i]` is that of `numbers[i]`.
  struct Chosen {
    std::vector<uint64_t> numbers;
    std::vector<ReceiptHandle> handles;
    size_t size() const { return numbers.size(); }
  };

  // The number of a new delivery: from 1, one more each time.
  uint64_t Add(const ReceiptHandle& handle);

  // Appends the deliveries of `range` to `chosen`; Take also closes them. `budget` is what may
  // still be named, and becomes less. kInvalidArgument/InvalidParameterValue: one of them is not
  // open, or the budget does not do; nothing has changed then.
  absl::Status Find(const v1::DeliveryRange& range, size_t* budget, Chosen* chosen) const;
  absl::Status Take(const v1::DeliveryRange& range, size_t* budget, Chosen* chosen);
  // They are open again.
  void Reopen(const Chosen& chosen);
  // Takes those in [first, end).
  Chosen TakeBetween(uint64_t first, uint64_t end);
  std::vector<ReceiptHandle> Handles() const;

  size_t size() const { return size_; }
  uint64_t next() const { return next_; }

 private:
  // Neighbours lie together, as they come and mostly go together: one look-up finds eight. (More
  // would let a client that leaves one open of each chunk cost too much.)
  static constexpr uint64_t kChunk = 8;
  struct Chunk {
    uint8_t open = 0;  // a bit for each
    std::array<ReceiptHandle, kChunk> handles;
  };

  static uint8_t Bit(uint64_t number) { return static_cast<uint8_t>(1u << number % kChunk); }
  void Open(uint64_t number, const ReceiptHandle& handle);
  void Close(uint64_t number);
  // Calls `use(number, handle)` for each that is open.
  template <typename Use>
  void ForEach(Use use) const;

  uint64_t next_ = 1;
  size_t size_ = 0;
  absl::flat_hash_map<uint64_t, Chunk> chunks_;  // by number / kChunk; none without an open one
};

}  // namespace barista::server

#endif  // BROKER_SERVER_OPEN_DELIVERIES_H_
