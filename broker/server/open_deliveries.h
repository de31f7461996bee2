#ifndef BROKER_SERVER_OPEN_DELIVERIES_H_
#define BROKER_SERVER_OPEN_DELIVERIES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
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
  static constexpr size_t kMaxChosen = 10'000;

  // The number of a new delivery: from 1, one more each time.
  uint64_t Add(const ReceiptHandle& handle);

  // Appends the deliveries of `range` to `chosen`. kInvalidArgument/InvalidParameterValue: one of
  // them is not open, or more than kMaxChosen are chosen then; what is in `chosen` is of no use.
  absl::Status Choose(const v1::DeliveryRange& range, Chosen* chosen) const;
  // They are not open any more; those that are not are ignored.
  void Close(absl::Span<const uint64_t> numbers);
  // Those in [first, end).
  Chosen Between(uint64_t first, uint64_t end) const;

  size_t size() const { return handles_.size(); }
  uint64_t next() const { return next_; }

 private:
  uint64_t next_ = 1;
  absl::flat_hash_map<uint64_t, ReceiptHandle> handles_;
};

}  // namespace barista::server

#endif  // BROKER_SERVER_OPEN_DELIVERIES_H_
