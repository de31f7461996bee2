#ifndef BARISTA_STORAGE_RUN_RECORD_H_
#define BARISTA_STORAGE_RUN_RECORD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "broker/base/ids.h"
#include "storage/store.h"

namespace barista::storage {

// The two rows that hold a run: up to 64 messages of one queue with consecutive sequences, which
// one batch appended. Both have the key [slot][queue][sequence of the first message].
inline constexpr int kMaxRunMessages = 64;

// The row in `messages` is written once and removed once. Version 1, little-endian:
//
//   0  u8   version (1)
//   1  u8   messages, 1 to 64
//   2  u16  0
//   4  u32  end of each message's bytes, from the first message's begin
//      the messages (message_record.h)
//
// Writes everything in front of the messages to `*out`, replacing it. 1 <= messages.size() <= 64,
// together below 4 GiB.
void EncodeRunHeader(absl::Span<const absl::string_view> messages, std::string* out);

// A row of `messages`. Views into the bytes given to Parse.
class RunView {
 public:
  // kDataLoss/DataCorrupt, kFailedPrecondition/DataDirectoryTooNew. Never reads outside `row`.
  // O(messages of the run).
  static absl::StatusOr<RunView> Parse(absl::string_view row);

  int count() const { return count_; }
  absl::string_view message(int index) const;  // 0 <= index < count()

 private:
  RunView(absl::string_view row, int count) : row_(row), count_(count) {}
  absl::string_view row_;
  int count_;
};

// The row in `state` holds what changes about a run; a run nothing of which has changed has none.
// Version 1, little-endian:
//
//   0  u8   version (1)
//   1  u8   messages of the run
//   2  u64  bit i: message i is gone
//  10  for each message that was received and lives, ascending:
//      {u8 index, u32 receives, i64 visible_at_ms, i64 first_receive_ms, u32 boot}
struct RunState {
  struct MessageLease {
    uint8_t index;
    Lease lease;
    friend bool operator==(const MessageLease& a, const MessageLease& b) {
      return a.index == b.index && a.lease == b.lease;
    }
  };

  uint8_t count = 1;
  uint64_t dead = 0;
  std::vector<MessageLease> leases;  // ascending by index

  bool IsDead(int index) const { return (dead >> index & 1) != 0; }
  bool AllDead() const { return dead == AllBits(count); }
  // Forgets the message's lease too.
  void Kill(int index);
  void SetLease(int index, const Lease& lease);
  Lease GetLease(int index) const;
  int64_t VisibleAt(int index) const { return GetLease(index).visible_at_ms; }
  // Nothing that needs a row.
  bool IsInitial() const { return dead == 0 && leases.empty(); }

  static uint64_t AllBits(int count) { return ~uint64_t{0} >> (64 - count); }
};

// Replaces `*out`.
void EncodeRunState(const RunState& state, std::string* out);
// kDataLoss/DataCorrupt, kFailedPrecondition/DataDirectoryTooNew.
absl::StatusOr<RunState> DecodeRunState(absl::string_view row);

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_RUN_RECORD_H_
