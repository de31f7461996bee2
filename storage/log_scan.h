#ifndef BARISTA_STORAGE_LOG_SCAN_H_
#define BARISTA_STORAGE_LOG_SCAN_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "storage/commit_marker.h"

namespace barista::storage {

// Looks at the bytes of the write-ahead log before the log is recovered, and says whether recovery
// could lose commits that had been synced. Recovery stops at the first damaged record and throws
// the rest away; this looks for commit markers behind such a place too.
//
// The log's files consist of blocks of 32 KiB. A block holds fragments {u32 masked CRC-32C of type
// and bytes, u16 bytes, u8 type, bytes}, where the type says whether the fragment is a whole
// record, or the first, a middle or the last one of it; what is left of a block and is shorter than
// a fragment's header is padding. (This is the format of RocksDB's log. A type that is not known
// here counts as damage, which costs a closer look, never a wrong answer.)
//
// Usage: for each file in order of its number BeginFile, AddBlock for each of its blocks, EndFile.
// Thread-compatible.
class LogScanner {
 public:
  static constexpr size_t kBlockBytes = 32 << 10;

  explicit LogScanner(absl::string_view store_id) : store_id_(store_id) {}

  void BeginFile();
  // The file's next bytes: kBlockBytes of them, fewer only at its end.
  void AddBlock(absl::string_view block);
  void EndFile();

  // The newest commit with a marker in front of the first damage; nullopt if there is none.
  std::optional<uint64_t> newest_intact_commit() const { return newest_intact_; }
  // The newest commit of which there is a trace anywhere; 0 if there is none.
  uint64_t newest_commit() const { return newest_commit_; }
  // The newest commit that any marker knows to be synced; 0 if there is none.
  uint64_t newest_synced_commit() const { return newest_synced_; }
  // Something in the files is not as it was written: a torn tail, flipped bits, commits missing in
  // between.
  bool damaged() const { return damaged_; }
  // Of the file at hand, or the last one: where its last whole record in front of any damage ends.
  uint64_t intact_bytes() const { return intact_bytes_; }
  // Recovery up to the first damage may lose synced commits.
  bool may_lose_synced() const { return damaged_ && newest_synced_ > newest_intact_.value_or(0); }

 private:
  struct FoundMarker {
    uint64_t offset;
    uint64_t commit;
  };

  void FindMarkers(absl::string_view block);
  void Found(uint64_t offset, const CommitMarker& marker);
  void WalkFragments(absl::string_view block);
  // The file is undamaged up to `end`, where a record ends.
  void RecordEnds(uint64_t end);

  const std::string store_id_;
  std::optional<uint64_t> newest_intact_;
  uint64_t newest_commit_ = 0;
  uint64_t newest_synced_ = 0;
  bool damaged_ = false;

  // Of the file at hand.
  uint64_t block_begin_ = 0;
  uint64_t intact_bytes_ = 0;
  bool in_record_ = false;  // a record has begun and not ended
  std::string carry_;       // the end of the block before: a marker may lie across the border
  std::vector<FoundMarker> pending_;  // in records that have not ended yet
};

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_LOG_SCAN_H_
