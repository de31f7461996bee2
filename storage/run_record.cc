#include "storage/run_record.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "broker/base/codec.h"
#include "storage/errors.h"

namespace barista::storage {
namespace {

constexpr uint8_t kVersion = 1;
constexpr size_t kRunPrefixBytes = 4;
constexpr size_t kStatePrefixBytes = 10;
constexpr size_t kLeaseBytes = 25;
constexpr char kRun[] = "row of messages";
constexpr char kState[] = "row of message states";

absl::Status CheckVersion(absl::string_view what, uint8_t version, int count) {
  if (version > kVersion) return TooNewError(what, version, kVersion);
  if (version == 0) return CorruptError(what, "its version is 0");
  if (count < 1 || count > kMaxRunMessages) {
    return CorruptError(
        what, absl::StrCat("it counts ", count, " messages; limit 1 to ", kMaxRunMessages));
  }
  return absl::OkStatus();
}

template <typename Leases>
auto FindLease(Leases& leases, int index) {
  return std::lower_bound(leases.begin(), leases.end(), index,
                          [](const auto& a, int b) { return a.index < b; });
}

}  // namespace

void EncodeRunHeader(absl::Span<const absl::string_view> messages, std::string* out) {
  out->resize(kRunPrefixBytes + 4 * messages.size());
  char* p = out->data();
  p[0] = static_cast<char>(kVersion);
  p[1] = static_cast<char>(messages.size());
  p[2] = p[3] = 0;
  uint32_t end = 0;
  for (size_t i = 0; i < messages.size(); ++i) {
    end += static_cast<uint32_t>(messages[i].size());
    StoreLittle(end, p + kRunPrefixBytes + 4 * i);
  }
}

absl::StatusOr<RunView> RunView::Parse(absl::string_view row) {
  if (row.size() < kRunPrefixBytes)
    return CorruptError(kRun, absl::StrCat("it has ", row.size(), " bytes"));
  const int count = static_cast<uint8_t>(row[1]);
  if (absl::Status status = CheckVersion(kRun, static_cast<uint8_t>(row[0]), count); !status.ok())
    return status;
  const size_t header = kRunPrefixBytes + 4 * static_cast<size_t>(count);
  if (row.size() < header) return CorruptError(kRun, "its header is cut short");
  uint32_t last = 0;
  for (int i = 0; i < count; ++i) {
    const uint32_t end =
        LoadLittle<uint32_t>(row.data() + kRunPrefixBytes + 4 * static_cast<size_t>(i));
    if (end < last)
      return CorruptError(kRun, absl::StrCat("message ", i, " ends before it begins"));
    last = end;
  }
  if (header + last != row.size()) {
    return CorruptError(
        kRun, absl::StrCat("it has ", row.size(), " bytes; its header says ", header + last));
  }
  return RunView(row, count);
}

absl::string_view RunView::message(int index) const {
  const char* const ends = row_.data() + kRunPrefixBytes;
  const uint32_t begin = index == 0 ? 0 : LoadLittle<uint32_t>(ends + 4 * (index - 1));
  const uint32_t end = LoadLittle<uint32_t>(ends + 4 * index);
  return absl::string_view(ends + 4 * count_ + begin, end - begin);
}

void RunState::Kill(int index) {
  dead |= uint64_t{1} << index;
  const auto it = FindLease(leases, index);
  if (it != leases.end() && it->index == index) leases.erase(it);
}

void RunState::SetLease(int index, const Lease& lease) {
  const auto it = FindLease(leases, index);
  const bool found = it != leases.end() && it->index == index;
  if (found && lease == Lease()) {
    leases.erase(it);
  } else if (found) {
    it->lease = lease;
  } else if (lease != Lease()) {
    leases.insert(it, MessageLease{static_cast<uint8_t>(index), lease});
  }
}

Lease RunState::GetLease(int index) const {
  const auto it = FindLease(leases, index);
  return it != leases.end() && it->index == index ? it->lease : Lease();
}

void EncodeRunState(const RunState& state, std::string* out) {
  out->resize(kStatePrefixBytes + kLeaseBytes * state.leases.size());
  char* p = out->data();
  p[0] = static_cast<char>(kVersion);
  p[1] = static_cast<char>(state.count);
  StoreLittle<uint64_t>(state.dead, p + 2);
  p += kStatePrefixBytes;
  for (const RunState::MessageLease& entry : state.leases) {
    p[0] = static_cast<char>(entry.index);
    StoreLittle<uint32_t>(entry.lease.receives, p + 1);
    StoreLittle<int64_t>(entry.lease.visible_at_ms, p + 5);
    StoreLittle<int64_t>(entry.lease.first_receive_ms, p + 13);
    StoreLittle<uint32_t>(entry.lease.boot, p + 21);
    p += kLeaseBytes;
  }
}

absl::StatusOr<RunState> DecodeRunState(absl::string_view row) {
  RunState state;
  uint8_t version = 0;
  ByteReader reader(row);
  if (!reader.Read(&version) || !reader.Read(&state.count) || !reader.Read(&state.dead)) {
    return CorruptError(kState, absl::StrCat("it has ", row.size(), " bytes"));
  }
  if (absl::Status status = CheckVersion(kState, version, state.count); !status.ok()) return status;
  if ((state.dead & ~RunState::AllBits(state.count)) != 0) {
    return CorruptError(kState, "it marks messages behind the run's end");
  }
  if (reader.size() % kLeaseBytes != 0) return CorruptError(kState, "a lease is cut short");
  state.leases.reserve(reader.size() / kLeaseBytes);
  for (int last = -1; !reader.empty();) {
    RunState::MessageLease& entry = state.leases.emplace_back();
    reader.Read(&entry.index);
    reader.Read(&entry.lease.receives);
    reader.Read(&entry.lease.visible_at_ms);
    reader.Read(&entry.lease.first_receive_ms);
    reader.Read(&entry.lease.boot);
    if (entry.index <= last || entry.index >= state.count || state.IsDead(entry.index)) {
      return CorruptError(kState,
                          absl::StrCat("a lease of message ", entry.index, " of ", state.count));
    }
    last = entry.index;
  }
  return state;
}

}  // namespace barista::storage
