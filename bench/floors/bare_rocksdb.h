#ifndef BARISTA_BENCH_FLOORS_BARE_ROCKSDB_H_
#define BARISTA_BENCH_FLOORS_BARE_ROCKSDB_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "storage/rocksdb_bare.h"

namespace barista::bench {

// Opens or creates in `dir` a RocksDB with the engine's own options (of the default memory limit)
// and column families, and nothing of the engine above it: the floor under everything durable.
absl::StatusOr<std::unique_ptr<storage::BareRocksDb>> OpenFloor(const std::string& dir);

// The column family that holds messages.
rocksdb::ColumnFamilyHandle* MessagesFamily(const storage::BareRocksDb& bare);

// The key of message `number`, as the engine lays it out: [slot BE16 = 0][queue BE32][sequence
// BE64].
std::string BareMessageKey(uint64_t number);

// The floor of sending, receiving and deleting: a loop of one thread that puts a message, removes
// with SingleDelete the one that was put `in_flight` messages before, and syncs every
// `operations_per_sync` operations.
struct BareLoop {
  double operations_per_sync = 2;  // puts + deletes; a fraction is kept on average. >= 2
  int in_flight = 1000;
  int body_bytes = 1024;
  absl::Duration warm_up = absl::Milliseconds(500);
  absl::Duration measured = absl::Seconds(1);
};

struct BareLoopResult {
  double messages_per_second = 0;
  double cpu_us_per_message = 0;  // of this process
  double syncs_per_second = 0;
};

absl::StatusOr<BareLoopResult> RunBareLoop(const std::string& dir, const BareLoop& loop);

}  // namespace barista::bench

#endif  // BARISTA_BENCH_FLOORS_BARE_ROCKSDB_H_
