#include "storage/blob_scan.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "broker/base/codec.h"
#include "storage/crc32c.h"

namespace barista::storage {
namespace {

constexpr uint32_t kMagic = 2395959;
constexpr uint32_t kVersion = 1;
constexpr uint64_t kRecordHeaderBytes = 32;
constexpr int64_t kFooterBytes = 32;
constexpr uint64_t kMaxKeyBytes = 1024;  // ours are shorter by far

std::string Header(uint32_t family) {
  std::string header;
  for (const uint32_t number : {kMagic, kVersion, family}) AppendLittle(number, &header);
  return header.append(18, '\0');
}

// Whether the masked CRC at `at` is that of the bytes before it.
bool CrcIsRight(absl::string_view part, size_t at) {
  return LoadLittle<uint32_t>(part.data() + at) == MaskCrc(Crc32c(part.substr(0, at)));
}

}  // namespace

void BlobScanner::Add(absl::string_view bytes) {
  rest_bytes_ -= static_cast<int64_t>(bytes.size());
  while (at_ != Part::kDone && !bytes.empty()) {
    const absl::string_view piece = bytes.substr(0, std::min<uint64_t>(wanted_, bytes.size()));
    if (at_ == Part::kKey || at_ == Part::kValue) crc_ = Crc32c(piece, crc_);
    if (at_ != Part::kValue) part_.append(piece.data(), piece.size());
    wanted_ -= piece.size();
    bytes.remove_prefix(piece.size());
    behind_ = static_cast<int64_t>(bytes.size());
    while (wanted_ == 0 && at_ != Part::kDone) PartEnds();
  }
}

void BlobScanner::Finish() {
  if (at_ != Part::kDone) report_("", "it ends in the middle of a record");
}

void BlobScanner::Expect(Part part, uint64_t bytes) {
  at_ = part;
  wanted_ = bytes;
  part_.clear();
}

void BlobScanner::GiveUp(absl::string_view why) {
  report_("", why);
  at_ = Part::kDone;
}

void BlobScanner::PartEnds() {
  const int64_t rest = rest_bytes_ + behind_;
  switch (at_) {
    case Part::kHeader:
      if (part_ != Header(family_)) {
        return GiveUp("its header is damaged");
      }
      return Expect(Part::kRecordHeader, kRecordHeaderBytes);
    case Part::kRecordHeader: {
      if (rest == 0) {
        if (!CrcIsRight(part_, kFooterBytes - 4) || LoadLittle<uint32_t>(part_.data()) != kMagic ||
            LoadLittle<uint64_t>(part_.data() + 4) != records_) {
          return GiveUp("its footer is damaged");
        }
        at_ = Part::kDone;
        return;
      }
      const uint64_t key_bytes = LoadLittle<uint64_t>(part_.data());
      value_bytes_ = LoadLittle<uint64_t>(part_.data() + 8);
      wanted_crc_ = LoadLittle<uint32_t>(part_.data() + 28);
      if (!CrcIsRight(part_, 24) || key_bytes > kMaxKeyBytes ||
          value_bytes_ > static_cast<uint64_t>(rest)) {
        return GiveUp(absl::StrCat("the header of record ", records_ + 1,
                                   " is damaged; what is behind it cannot be found"));
      }
      crc_ = 0;
      return Expect(Part::kKey, key_bytes);
    }
    case Part::kKey:
      key_ = part_;
      return Expect(Part::kValue, value_bytes_);
    case Part::kValue:
      ++records_;
      if (MaskCrc(crc_) != wanted_crc_) {
        report_(key_,
                absl::StrCat("the checksum of record ", records_, " is not that of its bytes"));
      }
      return Expect(Part::kRecordHeader, kRecordHeaderBytes);
    case Part::kDone:
      return;
  }
}

}  // namespace barista::storage
