#include "storage/commit_marker.h"

#include <cstring>

#include "broker/base/codec.h"

namespace barista::storage {
namespace {

constexpr size_t kIdAt = 8;
constexpr size_t kCommitAt = 24;
constexpr size_t kSyncedAt = 32;
constexpr size_t kChecksumAt = 40;

uint64_t Fnv1a(absl::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (char byte : bytes) hash = (hash ^ static_cast<uint8_t>(byte)) * 0x100000001b3u;
  return hash;
}

}  // namespace

std::array<char, kCommitMarkerBytes> EncodeCommitMarker(absl::string_view store_id,
                                                        const CommitMarker& marker) {
  std::array<char, kCommitMarkerBytes> bytes;
  std::memcpy(bytes.data(), kCommitMarkerMagic.data(), kCommitMarkerMagic.size());
  std::memcpy(bytes.data() + kIdAt, store_id.data(), kCommitAt - kIdAt);
  StoreLittle(marker.commit, bytes.data() + kCommitAt);
  StoreLittle(marker.last_synced, bytes.data() + kSyncedAt);
  StoreLittle(Fnv1a(absl::string_view(bytes.data(), kChecksumAt)), bytes.data() + kChecksumAt);
  return bytes;
}

std::optional<CommitMarker> DecodeCommitMarker(absl::string_view store_id,
                                               absl::string_view bytes) {
  if (bytes.size() < kCommitMarkerBytes || bytes.substr(0, kIdAt) != kCommitMarkerMagic ||
      bytes.substr(kIdAt, kCommitAt - kIdAt) != store_id ||
      LoadLittle<uint64_t>(bytes.data() + kChecksumAt) != Fnv1a(bytes.substr(0, kChecksumAt))) {
    return std::nullopt;
  }
  CommitMarker marker;
  marker.commit = LoadLittle<uint64_t>(bytes.data() + kCommitAt);
  marker.last_synced = LoadLittle<uint64_t>(bytes.data() + kSyncedAt);
  return marker;
}

}  // namespace barista::storage
