#include "storage/backup_manifest.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "barista/error.h"
#include "storage/crc32c.h"
#include "storage/data_directory.h"
#include "storage/errors.h"
#include "storage/meta_rows.h"

namespace barista::storage {
namespace {

constexpr int kVersion = 1;

// The number behind `word` at the front of `line`; 0 if it is not there.
int NumberBehind(absl::string_view word, absl::string_view line) {
  int number = 0;
  if (!absl::ConsumePrefix(&line, word) || !absl::SimpleAtoi(line, &number) || number < 1) return 0;
  return number;
}

bool ParseFile(absl::string_view line, BackupManifest::File* file) {
  if (!absl::ConsumePrefix(&line, "file ")) return false;
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(line, absl::MaxSplits(' ', 1));
  file->name = std::string(parts.second);
  return absl::SimpleAtoi(parts.first, &file->bytes) && file->bytes >= 0 && !file->name.empty() &&
         file->name.find('/') == std::string::npos && file->name != "." && file->name != "..";
}

std::string EndLine(absl::string_view body) {
  return absl::StrCat("end ", absl::Hex(Crc32c(body), absl::kZeroPad8), "\n");
}

absl::Status CannotRead(const std::string& dir, const absl::Status& cause) {
  return MakeError(absl::StatusCode::kUnavailable,
                   absl::StrCat("cannot read the backup ", dir, ": ", cause.message()),
                   {.reason = "DirectoryUnavailable", .field = "backup_dir", .value = dir});
}

}  // namespace

int64_t BackupManifest::bytes() const {
  int64_t sum = 0;
  for (const File& file : files) sum += file.bytes;
  return sum;
}

std::string EncodeBackupManifest(const BackupManifest& manifest) {
  std::string text = absl::StrCat("backup ", kVersion, "\nformat ", kDataFormat, "\nid ",
                                  absl::BytesToHexString(manifest.store_id), "\n");
  for (const BackupManifest::File& file : manifest.files) {
    absl::StrAppend(&text, "file ", file.bytes, " ", file.name, "\n");
  }
  return absl::StrCat(text, EndLine(text));
}

absl::StatusOr<BackupManifest> DecodeBackupManifest(absl::string_view what,
                                                    absl::string_view text) {
  std::vector<absl::string_view> lines = absl::StrSplit(text, '\n');
  const int version = NumberBehind("backup ", lines[0]);
  if (version > kVersion) return TooNewError(what, static_cast<uint64_t>(version), kVersion);
  if (version == 0) return CorruptError(what, "its first line is not \"backup NUMBER\"");
  const size_t end = text.rfind("end ");
  if (end == absl::string_view::npos || text.substr(end) != EndLine(text.substr(0, end))) {
    return CorruptError(what, "it does not end with the checksum of what is before");
  }
  lines.resize(lines.size() - 2);  // the end, and what is behind its line break: nothing
  const int format = lines.size() > 1 ? NumberBehind("format ", lines[1]) : 0;
  if (format > kDataFormat) {
    return TooNewError(absl::StrCat("the data directory in ", what), static_cast<uint64_t>(format),
                       kDataFormat);
  }
  absl::string_view id = lines.size() > 2 ? lines[2] : absl::string_view();
  if (format == 0 || !absl::ConsumePrefix(&id, "id ") || id.size() != 2 * kStoreIdBytes) {
    return CorruptError(what, "it has no lines \"format NUMBER\" and \"id \" with 32 digits");
  }
  BackupManifest manifest;
  manifest.store_id = absl::HexStringToBytes(id);
  for (size_t i = 3; i < lines.size(); ++i) {
    if (!ParseFile(lines[i], &manifest.files.emplace_back())) {
      return CorruptError(what, absl::StrCat("line ", i + 1, " is not \"file BYTES NAME\""));
    }
  }
  return manifest;
}

absl::StatusOr<BackupManifest> ReadBackupManifest(Files& files, const std::string& dir) {
  const std::string path = absl::StrCat(dir, "/", kBackupManifestName);
  if (!files.Exists(path)) {
    return MakeError(absl::StatusCode::kInvalidArgument,
                     absl::StrCat(dir, " is no backup: there is no ", path),
                     {.reason = "InvalidParameterValue", .field = "backup_dir", .value = dir});
  }
  const absl::StatusOr<std::string> text = files.Read(path);
  if (!text.ok()) return CannotRead(dir, text.status());
  absl::StatusOr<BackupManifest> manifest = DecodeBackupManifest(path, *text);
  if (!manifest.ok()) return manifest.status();
  for (const BackupManifest::File& file : manifest->files) {
    const std::string name = absl::StrCat(dir, "/db/", file.name);
    const absl::StatusOr<int64_t> bytes = files.Size(name);
    if (!bytes.ok() && files.Exists(name)) return CannotRead(dir, bytes.status());
    if (!bytes.ok())
      return CorruptError(absl::StrCat("the backup ", dir), absl::StrCat(name, " is missing"));
    if (*bytes != file.bytes) {
      return CorruptError(absl::StrCat("the backup ", dir),
                          absl::StrCat(name, " has ", *bytes, " bytes instead of ", file.bytes));
    }
  }
  return manifest;
}

}  // namespace barista::storage
