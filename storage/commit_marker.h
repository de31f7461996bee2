#ifndef BARISTA_STORAGE_COMMIT_MARKER_H_
#define BARISTA_STORAGE_COMMIT_MARKER_H_

#include <array>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

namespace barista::storage {

// Stands at the head of every commit in the log: which commit it is, and up to which one the log
// had been synced when it was written. As a row it says which commit the store holds; found in the
// bytes of a log file it proves what the log once held, also behind a place where the log can no
// longer be read.
//
// Little-endian: {magic 8 B, store id 16 B, u64 commit, u64 last synced commit, u64 FNV-1a of the
// bytes before}.
struct CommitMarker {
  uint64_t commit = 0;
  uint64_t last_synced = 0;
};

inline constexpr size_t kCommitMarkerBytes = 48;
inline constexpr absl::string_view kCommitMarkerMagic(
    "\xb4ris\x7f"
    "CM1",
    8);

// `store_id` has 16 bytes.
std::array<char, kCommitMarkerBytes> EncodeCommitMarker(absl::string_view store_id,
                                                        const CommitMarker& marker);

// Reads a marker off the front of `bytes`. nullopt: too short, not one, of another store, or
// damaged.
std::optional<CommitMarker> DecodeCommitMarker(absl::string_view store_id, absl::string_view bytes);

}  // namespace barista::storage

#endif  // BARISTA_STORAGE_COMMIT_MARKER_H_
