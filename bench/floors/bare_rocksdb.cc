#include "bench/floors/bare_rocksdb.h"

#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <algorithm>

#include "absl/time/clock.h"
#include "bench/common/child.h"

namespace barista::bench {
namespace {

absl::Status FromRocksDb(const rocksdb::Status& status) {
  return status.ok() ? absl::OkStatus() : absl::InternalError(status.ToString());
}

}  // namespace

absl::StatusOr<std::unique_ptr<storage::BareRocksDb>> OpenFloor(const std::string& dir) {
  storage::RocksDbStoreOptions options;
  options.dir = dir;
  return storage::OpenBareRocksDb(options);
}

rocksdb::ColumnFamilyHandle* MessagesFamily(const storage::BareRocksDb& bare) {
  return bare.families[1];
}

std::string BareMessageKey(uint64_t number) {
  std::string key(2 + 4 + 8, '\0');
  key[5] = 1;  // the queue
  for (int i = 0; i < 8; ++i) key[6 + i] = static_cast<char>(number >> (56 - 8 * i));
  return key;
}

absl::StatusOr<BareLoopResult> RunBareLoop(const std::string& dir, const BareLoop& loop) {
  auto bare = OpenFloor(dir);
  if (!bare.ok()) return bare.status();
  rocksdb::ColumnFamilyHandle* const family = MessagesFamily(**bare);
  const std::string body(static_cast<size_t>(loop.body_bytes), 'x');
  const auto in_flight = static_cast<uint64_t>(loop.in_flight);
  rocksdb::WriteOptions synced;
  synced.sync = true;

  uint64_t put = 0, syncs = 0;
  double due = 0;  // operations that the syncs so far should have carried
  const absl::Duration cpu_before = UsageOf(0).cpu;
  const absl::Time start = absl::Now();
  absl::Duration elapsed;
  uint64_t operations = 0;
  rocksdb::WriteBatch batch;
  for (;; ++syncs) {
    elapsed = absl::Now() - start;
    if (elapsed >= loop.measured) break;
    batch.Clear();
    due += loop.operations_per_sync;
    while (static_cast<double>(operations) < due) {
      // Deletes follow puts, one for one, as soon as `in_flight` messages are there.
      const std::string key = BareMessageKey(++put);
      if (auto status = batch.Put(family, key, body); !status.ok()) {
        return FromRocksDb(status);
      }
      ++operations;
      if (put <= in_flight) continue;
      const std::string old_key = BareMessageKey(put - in_flight);
      if (auto status = batch.SingleDelete(family, old_key); !status.ok()) {
        return FromRocksDb(status);
      }
      ++operations;
    }
    if (auto status = (*bare)->db->Write(synced, &batch); !status.ok()) return FromRocksDb(status);
  }
  const double messages = static_cast<double>(std::max<uint64_t>(put, 1));
  const double seconds = absl::ToDoubleSeconds(elapsed);
  return BareLoopResult{messages / seconds,
                        absl::ToDoubleMicroseconds(UsageOf(0).cpu - cpu_before) / messages,
                        static_cast<double>(syncs) / seconds};
}

}  // namespace barista::bench
