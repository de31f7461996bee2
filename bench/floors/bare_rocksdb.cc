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

  uint64_t put = 0, operations = 0, syncs = 0;
  double due = 0;  // operations that the syncs so far should have carried
  rocksdb::WriteBatch batch;
  // One sync with the puts and deletes that go with it.
  const auto step = [&] {
    batch.Clear();
    rocksdb::Status status;
    due += loop.operations_per_sync;
    while (status.ok() && static_cast<double>(operations) < due) {
      // Deletes follow puts, one for one, as soon as `in_flight` messages are there.
      status = batch.Put(family, BareMessageKey(++put), body);
      ++operations;
      if (!status.ok() || put <= in_flight) continue;
      status = batch.SingleDelete(family, BareMessageKey(put - in_flight));
      ++operations;
    }
    ++syncs;
    return status.ok() ? (*bare)->db->Write(synced, &batch) : status;
  };

  for (const absl::Time start = absl::Now(); absl::Now() - start < loop.warm_up;) {
    if (auto status = step(); !status.ok()) return FromRocksDb(status);
  }
  const uint64_t put_before = put, syncs_before = syncs;
  const absl::Duration cpu_before = UsageOf(0).cpu;
  const absl::Time start = absl::Now();
  absl::Duration elapsed;
  while ((elapsed = absl::Now() - start) < loop.measured) {
    if (auto status = step(); !status.ok()) return FromRocksDb(status);
  }
  const double messages = static_cast<double>(std::max<uint64_t>(put - put_before, 1));
  const double seconds = absl::ToDoubleSeconds(elapsed);
  return BareLoopResult{messages / seconds,
                        absl::ToDoubleMicroseconds(UsageOf(0).cpu - cpu_before) / messages,
                        static_cast<double>(syncs - syncs_before) / seconds};
}

}  // namespace barista::bench
