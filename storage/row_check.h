#ifndef BARISTA_STORAGE_ROW_CHECK_H_
#define BARISTA_STORAGE_ROW_CHECK_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "barista/verify.h"
#include "broker/base/ids.h"
#include "storage/store.h"
#include "storage/verify.h"

namespace barista::storage {

// Looks at the rows of a store one by one and says what is wrong with them, alone and together.
//
// Usage: MetaRow for each row of the family `default`, then the other rows in any order, then
// Finish. Problems and queues go into the report. Memory: O(queues). Thread-compatible.
class RowCheck {
 public:
  // The families by the names that they have in reports; `default` is called meta elsewhere.
  static constexpr absl::string_view kMeta = "default", kMessages = "messages", kState = "state",
                                     kDelayed = "delayed", kExpiry = "expiry";

  // All borrowed. `store_id`: the one that the directory's VERSION has.
  RowCheck(absl::string_view store_id, const DefinitionReader& read_definition,
           VerifyReport* report)
      : store_id_(store_id), read_definition_(read_definition), report_(*report) {}

  void MetaRow(absl::string_view key, absl::string_view value);
  // A run with its row of states, if it has one.
  void Run(absl::string_view key, absl::string_view value, std::optional<absl::string_view> state);
  // A row of states without a run.
  void StateAlone(absl::string_view key);
  void DelayedRow(absl::string_view key, absl::string_view value);
  void ExpiryRow(absl::string_view key, absl::string_view value);
  // A row of a family that has none in this version.
  void UnknownRow(absl::string_view family, absl::string_view key);

  // Rows of the queue, or of all from `queue` on, could not be read: its counts say nothing.
  void Incomplete(QueueId queue) { queues_[queue].incomplete = true; }
  void IncompleteFrom(QueueId queue);

  // Compares the counts, and puts the queues into the report.
  void Finish();

  // Adds a problem of `family`. The overload with a key reads queue and sequence from it.
  void Problem(absl::string_view family, std::optional<QueueId> queue, uint64_t sequence,
               absl::string_view message, absl::string_view file = "");
  void ProblemAt(absl::string_view family, absl::string_view key, absl::string_view message,
                 absl::string_view file = "");

 private:
  struct QueueRows {
    std::string name;
    bool defined = false;
    bool incomplete = false;
    std::optional<QueueCounters> counters;
    uint64_t messages = 0;
    uint64_t delayed = 0;
    uint64_t bytes = 0;
    uint64_t first_live = ~uint64_t{0};
    uint64_t last_sequence = 0;
  };

  void CheckMessage(absl::string_view family, QueueId queue, uint64_t sequence,
                    absl::string_view record);
  void CompareCounts(QueueId id, const QueueRows& queue);

  const std::string store_id_;
  const DefinitionReader& read_definition_;
  VerifyReport& report_;
  std::map<QueueId, QueueRows> queues_;
  std::optional<QueueId> incomplete_from_;
  bool has_identity_ = false;
  bool has_boot_ = false;
  bool has_commit_ = false;
};

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_ROW_CHECK_H_
