#ifndef BARISTA_STORAGE_BLOB_SCAN_H_
#define BARISTA_STORAGE_BLOB_SCAN_H_

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace barista::storage {

// Checks the bytes of a blob file, also of the blobs that no row refers to any more. (This is the
// format of RocksDB's blob files, version 1.) Little-endian:
//
//   header   {u32 magic, u32 version, u32 family, 18 bytes that are zero as our options are}
//   records  {u64 key bytes, u64 value bytes, u64, u32 CRC of these, u32 CRC of key and value,
//             key, value}
//   footer   {u32 magic, u64 records, u64, u64, u32 CRC}
//
// CRCs are masked CRC-32Cs of what is before them in their part. Usage: Add for all of the file's
// bytes in order, then Finish. Memory: a part without values. Thread-compatible.
class BlobScanner {
 public:
  // Gets each piece of damage: what is wrong, and the key of the record, if it belongs to one.
  using Report = std::function<void(absl::string_view key, absl::string_view why)>;

  // `family`: RocksDB's number of it.
  BlobScanner(int64_t file_bytes, uint32_t family, Report report)
      : family_(family), report_(std::move(report)), rest_bytes_(file_bytes) {}

  void Add(absl::string_view bytes);
  void Finish();

 private:
  enum class Part { kHeader, kRecordHeader, kKey, kValue, kDone };

  // The part at hand, but for values, is in part_.
  void PartEnds();
  // After damage that leaves it unknown where the next record begins.
  void GiveUp(absl::string_view why);
  void Expect(Part part, uint64_t bytes);

  const uint32_t family_;
  const Report report_;
  int64_t rest_bytes_;  // of the file, that have not been added
  int64_t behind_ = 0;  // added, and behind the part at hand
  Part at_ = Part::kHeader;
  uint64_t wanted_ = kHeaderBytes;  // bytes of the part that are still to come
  std::string part_;
  uint64_t value_bytes_ = 0;  // of the record at hand, as the next four
  uint32_t wanted_crc_ = 0;
  uint32_t crc_ = 0;
  std::string key_;
  uint64_t records_ = 0;

  static constexpr uint64_t kHeaderBytes = 30;
};

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_BLOB_SCAN_H_
