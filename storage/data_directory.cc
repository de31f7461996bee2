#include "storage/data_directory.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "barista/error.h"
#include "storage/backup_manifest.h"
#include "storage/errors.h"
#include "storage/meta_rows.h"
#include "storage/random_bytes.h"

namespace barista::storage {
namespace {

absl::Status DirectoryError(const std::string& dir, const absl::Status& cause) {
  if (cause.code() == absl::StatusCode::kResourceExhausted)
    return StorageFullError(dir, cause.message());
  ErrorInfo info;
  info.field = "data_dir";
  info.value = dir;
  if (cause.code() == absl::StatusCode::kFailedPrecondition) {
    info.reason = "DataDirectoryInUse";
    return MakeError(
        absl::StatusCode::kFailedPrecondition,
        absl::StrCat("another broker has the data directory ", dir, " open: ", cause.message()),
        info);
  }
  if (cause.code() != absl::StatusCode::kPermissionDenied) {
    info.reason = "StoreUnavailable";
    return MakeError(absl::StatusCode::kUnavailable,
                     absl::StrCat("cannot read the data directory ", dir, ": ", cause.message()),
                     info);
  }
  info.reason = "DataDirectoryNotWritable";
  return MakeError(absl::StatusCode::kPermissionDenied,
                   absl::StrCat("cannot write to the data directory ", dir, ": ", cause.message()),
                   info);
}

absl::StatusOr<std::string> ParseVersion(const std::string& dir, absl::string_view text) {
  const std::string what = absl::StrCat(dir, "/VERSION");
  const std::vector<absl::string_view> lines = absl::StrSplit(text, '\n');
  absl::string_view format = lines[0];
  int version = 0;
  if (!absl::ConsumePrefix(&format, "format ") || !absl::SimpleAtoi(format, &version) ||
      version < 1) {
    return CorruptError(what, "its first line is not \"format NUMBER\"");
  }
  if (version > kDataFormat) {
    return TooNewError(absl::StrCat("the data directory ", dir), static_cast<uint64_t>(version),
                       kDataFormat);
  }
  absl::string_view id = lines.size() > 1 ? lines[1] : absl::string_view();
  if (!absl::ConsumePrefix(&id, "id ") || id.size() != 2 * kStoreIdBytes ||
      !std::all_of(id.begin(), id.end(), [](char c) { return absl::ascii_isxdigit(c); })) {
    return CorruptError(what, "its second line is not \"id \" and 32 hexadecimal digits");
  }
  return absl::HexStringToBytes(id);
}

DataDirectory NamesIn(const std::string& dir) {
  DataDirectory result;
  result.dir = dir;
  result.db_dir = absl::StrCat(dir, "/db");
  result.ballast_path = absl::StrCat(dir, "/ballast");
  return result;
}

std::string VersionPath(const std::string& dir) { return absl::StrCat(dir, "/VERSION"); }

absl::Status TakeLock(Files& files, DataDirectory* directory) {
  absl::StatusOr<std::unique_ptr<Files::Lock>> lock =
      files.LockFile(absl::StrCat(directory->dir, "/LOCK"));
  if (!lock.ok()) return DirectoryError(directory->dir, lock.status());
  directory->lock = *std::move(lock);
  return absl::OkStatus();
}

absl::Status ReadVersion(Files& files, DataDirectory* directory) {
  absl::StatusOr<std::string> text = files.Read(VersionPath(directory->dir));
  if (!text.ok()) return DirectoryError(directory->dir, text.status());
  absl::StatusOr<std::string> id = ParseVersion(directory->dir, *text);
  if (!id.ok()) return id.status();
  directory->store_id = *std::move(id);
  return absl::OkStatus();
}

}  // namespace

std::string EncodeVersion(absl::string_view store_id) {
  return absl::StrCat("format ", kDataFormat, "\nid ", absl::BytesToHexString(store_id), "\n");
}

absl::StatusOr<DataDirectory> OpenDataDirectory(Files& files, const std::string& dir) {
  DataDirectory result = NamesIn(dir);
  if (absl::Status status = files.CreateDir(dir); !status.ok()) return DirectoryError(dir, status);
  if (files.Exists(absl::StrCat(dir, "/", kBackupManifestName))) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition,
        absl::StrCat(dir, " is a backup, which stays as it is: make a data directory of it with ",
                     "`barista restore`"),
        {.reason = "DataDirectoryIsBackup", .field = "data_dir", .value = dir});
  }
  if (absl::Status status = TakeLock(files, &result); !status.ok()) return status;

  const std::string version_path = VersionPath(dir);
  if (files.Exists(version_path)) {
    if (absl::Status status = ReadVersion(files, &result); !status.ok()) return status;
  } else if (files.Exists(absl::StrCat(result.db_dir, "/CURRENT"))) {
    return CorruptError(absl::StrCat("the data directory ", dir),
                        "it has a database, but no file VERSION");
  } else {
    result.store_id = RandomBytes(kStoreIdBytes);
    absl::Status status = files.Replace(version_path, EncodeVersion(result.store_id));
    if (!status.ok()) return DirectoryError(dir, status);
  }
  if (absl::Status status = files.CreateDir(result.db_dir); !status.ok())
    return DirectoryError(dir, status);
  return result;
}

absl::StatusOr<DataDirectory> OpenExistingDataDirectory(Files& files, const std::string& dir) {
  DataDirectory result = NamesIn(dir);
  if (!files.Exists(VersionPath(dir))) {
    return MakeError(absl::StatusCode::kInvalidArgument,
                     absl::StrCat(dir, " is no data directory: there is no ", VersionPath(dir)),
                     {.reason = "InvalidParameterValue", .field = "data_dir", .value = dir});
  }
  if (absl::Status status = TakeLock(files, &result); !status.ok()) return status;
  if (absl::Status status = ReadVersion(files, &result); !status.ok()) return status;
  return result;
}

absl::Status ScanLog(Files& files, const DataDirectory& directory, LogScanner* scanner,
                     const std::function<void(const std::string& name)>& after_file) {
  absl::StatusOr<std::vector<std::string>> names = files.List(directory.db_dir);
  if (!names.ok()) return DirectoryError(directory.dir, names.status());
  std::vector<std::pair<uint64_t, std::string>> logs;
  for (const std::string& name : *names) {
    absl::string_view stem = name;
    uint64_t number = 0;
    if (absl::ConsumeSuffix(&stem, ".log") && absl::SimpleAtoi(stem, &number))
      logs.emplace_back(number, name);
  }
  std::sort(logs.begin(), logs.end());
  for (const auto& [number, name] : logs) {
    scanner->BeginFile();
    absl::Status status =
        files.ReadBlocks(absl::StrCat(directory.db_dir, "/", name), LogScanner::kBlockBytes,
                         [&](absl::string_view block) { scanner->AddBlock(block); });
    if (!status.ok()) return DirectoryError(directory.dir, status);
    scanner->EndFile();
    if (after_file) after_file(name);
  }
  return absl::OkStatus();
}

}  // namespace barista::storage
