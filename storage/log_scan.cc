#include "storage/log_scan.h"

#include <string.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "broker/base/codec.h"
#include "storage/crc32c.h"

namespace barista::storage {
namespace {

constexpr size_t kFragmentHeaderBytes = 7;
enum FragmentType : uint8_t { kWhole = 1, kFirst = 2, kMiddle = 3, kLast = 4 };

// The offset of `needle` in `haystack` from `from` on; npos if it is not there.
size_t Find(absl::string_view haystack, absl::string_view needle, size_t from) {
  if (from >= haystack.size()) return absl::string_view::npos;
  const void* const found =
      memmem(haystack.data() + from, haystack.size() - from, needle.data(), needle.size());
  if (found == nullptr) return absl::string_view::npos;
  return static_cast<size_t>(static_cast<const char*>(found) - haystack.data());
}

}  // namespace

void LogScanner::BeginFile() {
  block_begin_ = 0;
  intact_bytes_ = 0;
  in_record_ = false;
  carry_.clear();
  pending_.clear();
}

void LogScanner::AddBlock(absl::string_view block) {
  FindMarkers(block);
  if (!damaged_) WalkFragments(block);
  block_begin_ += block.size();
}

void LogScanner::EndFile() {
  if (in_record_) damaged_ = true;
}

void LogScanner::FindMarkers(absl::string_view block) {
  // A marker that lies across the border is interrupted by the header of the block's first
  // fragment.
  if (!carry_.empty() && block.size() > kFragmentHeaderBytes) {
    const absl::string_view head = block.substr(kFragmentHeaderBytes, kCommitMarkerBytes - 1);
    const std::string across = absl::StrCat(carry_, head);
    for (size_t at = Find(across, kCommitMarkerMagic, 0);
         at != absl::string_view::npos && at < carry_.size();
         at = Find(across, kCommitMarkerMagic, at + 1)) {
      const auto marker = DecodeCommitMarker(store_id_, absl::string_view(across).substr(at));
      if (marker) Found(block_begin_ - carry_.size() + at, *marker);
    }
  }
  for (size_t at = Find(block, kCommitMarkerMagic, 0); at != absl::string_view::npos;
       at = Find(block, kCommitMarkerMagic, at + 1)) {
    const auto marker = DecodeCommitMarker(store_id_, block.substr(at));
    if (marker) Found(block_begin_ + at, *marker);
  }
  const size_t kept = std::min(block.size(), kCommitMarkerBytes - 1);
  carry_.assign(block.data() + (block.size() - kept), kept);
}

void LogScanner::Found(uint64_t offset, const CommitMarker& marker) {
  newest_commit_ = std::max(newest_commit_, marker.commit);
  newest_synced_ = std::max(newest_synced_, marker.last_synced);
  if (!damaged_) pending_.push_back({offset, marker.commit});
}

void LogScanner::WalkFragments(absl::string_view block) {
  size_t at = 0;
  while (block.size() - at >= kFragmentHeaderBytes) {
    const char* const header = block.data() + at;
    const size_t size = LoadLittle<uint16_t>(header + 4);
    const uint8_t type = static_cast<uint8_t>(header[6]);
    const bool begins = type == kWhole || type == kFirst;
    if (type < kWhole || type > kLast || begins == in_record_ ||
        block.size() - at - kFragmentHeaderBytes < size ||
        LoadLittle<uint32_t>(header) != MaskCrc(Crc32c(block.substr(at + 6, 1 + size)))) {
      damaged_ = true;
      return;
    }
    at += kFragmentHeaderBytes + size;
    in_record_ = type == kFirst || type == kMiddle;
    if (!in_record_) RecordEnds(block_begin_ + at);
    if (damaged_) return;
  }
  // What is left of a whole block is padding; at the end of the file it is a torn header.
  if (at < block.size() && block.size() < kBlockBytes) damaged_ = true;
}

void LogScanner::RecordEnds(uint64_t end) {
  intact_bytes_ = end;
  size_t done = 0;
  for (; done < pending_.size() && pending_[done].offset < end; ++done) {
    const uint64_t commit = pending_[done].commit;
    if (newest_intact_ && commit > *newest_intact_ + 1) {
      damaged_ = true;  // Whole commits are missing, with the file that had them.
      return;
    }
    newest_intact_ = std::max(newest_intact_.value_or(0), commit);
  }
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(done));
}

}  // namespace barista::storage
