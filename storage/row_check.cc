#include "storage/row_check.h"

#include <algorithm>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "broker/message/message_record.h"
#include "storage/commit_marker.h"
#include "storage/keys.h"
#include "storage/meta_rows.h"
#include "storage/run_record.h"

namespace barista::storage {

void RowCheck::Problem(absl::string_view family, std::optional<QueueId> queue, uint64_t sequence,
                       absl::string_view message, absl::string_view file) {
  if (report_.problems.size() == VerifyReport::kMaxProblems) {
    ++report_.problems_omitted;
    return;
  }
  std::string name;
  if (queue.has_value()) {
    const auto it = queues_.find(*queue);
    name = it == queues_.end() || it->second.name.empty() ? absl::StrCat("#", queue->value())
                                                          : it->second.name;
  }
  report_.problems.push_back(
      {std::string(file), std::string(family), std::move(name), sequence, std::string(message)});
}

void RowCheck::ProblemAt(absl::string_view family, absl::string_view key, absl::string_view message,
                         absl::string_view file) {
  QueueId queue;
  Sequence sequence;
  if ((family == kMessages || family == kState) && ParseMessageKey(key, &queue, &sequence)) {
    Problem(family, queue, sequence.value(), message, file);
  } else if (family != kMeta && ParseQueuePrefix(key, &queue)) {
    Problem(family, queue, 0, message, file);
  } else {
    Problem(family, std::nullopt, 0, message, file);
  }
}

void RowCheck::MetaRow(absl::string_view key, absl::string_view value) {
  QueueId queue;
  if (key == kIdentityKey) {
    has_identity_ = true;
    const absl::StatusOr<IdentityRow> identity = DecodeIdentity(value);
    if (!identity.ok()) return Problem(kMeta, {}, 0, identity.status().message());
    if (identity->store_id != store_id_) Problem(kMeta, {}, 0, "VERSION is of another database");
  } else if (key == kBootKey) {
    has_boot_ = true;
    const absl::StatusOr<uint32_t> boot = DecodeBoot(value);
    if (!boot.ok()) Problem(kMeta, {}, 0, boot.status().message());
  } else if (key == kCommitMarkerKey) {
    has_commit_ = true;
    if (!DecodeCommitMarker(store_id_, value))
      Problem(kMeta, {}, 0, "the commit row is damaged, or another store's");
  } else if (ParseQueueRowKey(key, kDefinitionTag, &queue)) {
    QueueRows& rows = queues_[queue];
    rows.defined = true;
    const absl::StatusOr<absl::string_view> definition = DecodeDefinition(value);
    if (!definition.ok()) return Problem(kMeta, queue, 0, definition.status().message());
    absl::StatusOr<std::string> name = read_definition_(queue, *definition);
    if (!name.ok()) return Problem(kMeta, queue, 0, name.status().message());
    rows.name = *std::move(name);
  } else if (ParseQueueRowKey(key, kCounterTag, &queue)) {
    const absl::StatusOr<QueueCounters> counters = DecodeCounters(value);
    QueueRows& rows = queues_[queue];
    if (!counters.ok()) {
      rows.incomplete = true;
      return Problem(kMeta, queue, 0, counters.status().message());
    }
    rows.counters = *counters;
  } else {
    Problem(kMeta, {}, 0, "a row with a key that this version does not know");
  }
}

void RowCheck::CheckMessage(absl::string_view family, QueueId queue, uint64_t sequence,
                            absl::string_view record) {
  const absl::StatusOr<internal::MessageRecord> message = internal::DecodeRecord(record);
  absl::Status status = message.status();
  if (status.ok())
    status = internal::DecodeAttributes(message->attributes, message->attribute_count).status();
  if (!status.ok()) Problem(family, queue, sequence, status.message());
}

void RowCheck::Run(absl::string_view key, absl::string_view value,
                   std::optional<absl::string_view> state_row) {
  QueueId queue;
  Sequence first;
  if (!ParseMessageKey(key, &queue, &first))
    return Problem(kMessages, {}, 0, "a key of another form");
  QueueRows& rows = queues_[queue];
  const absl::StatusOr<RunView> run = RunView::Parse(value);
  RunState state;
  absl::Status status = run.status();
  if (status.ok()) state.count = static_cast<uint8_t>(run->count());
  if (!status.ok()) Problem(kMessages, queue, first.value(), status.message());
  if (status.ok() && state_row.has_value()) {
    absl::StatusOr<RunState> decoded = DecodeRunState(*state_row);
    status = decoded.status();
    if (!status.ok()) {
      Problem(kState, queue, first.value(), status.message());
    } else if (decoded->count != run->count()) {
      status = absl::DataLossError("");
      Problem(kState, queue, first.value(),
              absl::StrCat("it counts ", decoded->count, " messages; the run has ", run->count()));
    } else {
      state = *std::move(decoded);
    }
  }
  if (!status.ok()) {
    rows.incomplete = true;
    return;
  }
  for (int i = 0; i < run->count(); ++i) {
    const uint64_t sequence = first.value() + static_cast<uint64_t>(i);
    rows.last_sequence = std::max(rows.last_sequence, sequence);
    CheckMessage(kMessages, queue, sequence, run->message(i));
    if (state.IsDead(i)) continue;
    rows.first_live = std::min(rows.first_live, sequence);
    rows.messages += 1;
    rows.bytes += run->message(i).size();
  }
}

void RowCheck::StateAlone(absl::string_view key) {
  QueueId queue;
  Sequence first;
  if (!ParseMessageKey(key, &queue, &first)) return Problem(kState, {}, 0, "a key of another form");
  const bool run_may_be_there =
      queues_[queue].incomplete || (incomplete_from_.has_value() && queue >= *incomplete_from_);
  if (!run_may_be_there)
    Problem(kState, queue, first.value(), "there is no run that it belongs to");
}

void RowCheck::DelayedRow(absl::string_view key, absl::string_view value) {
  QueueId queue;
  int64_t due_ms = 0;
  uint64_t id = 0;
  if (!ParseQueuePrefix(key, &queue) || !ParseDelayedKey(key, &due_ms, &id))
    return Problem(kDelayed, {}, 0, "a key of another form");
  CheckMessage(kDelayed, queue, 0, value);
  queues_[queue].delayed += 1;
  queues_[queue].bytes += value.size();
}

void RowCheck::ExpiryRow(absl::string_view key, absl::string_view value) {
  QueueId queue;
  Batch::ExpiryKind kind;
  int64_t at_ms = 0;
  Sequence sequence;
  if (!ParseQueuePrefix(key, &queue) || !ParseExpiryKey(key, &kind, &at_ms, &sequence))
    return Problem(kExpiry, {}, 0, "a key of another form");
  if (!value.empty() || kind > Batch::ExpiryKind::kDeadline)
    Problem(kExpiry, queue, sequence.value(), "it is not of a kind that this version knows");
}

void RowCheck::UnknownRow(absl::string_view family, absl::string_view key) {
  ProblemAt(family, key, "this version has no rows in this family");
}

void RowCheck::IncompleteFrom(QueueId queue) {
  incomplete_from_ = std::min(queue, incomplete_from_.value_or(queue));
}

void RowCheck::CompareCounts(QueueId id, const QueueRows& queue) {
  const QueueCounters counters = queue.counters.value_or(QueueCounters());
  const auto differ = [&](absl::string_view family, absl::string_view what, uint64_t counted,
                          uint64_t found) {
    Problem(family, id, 0,
            absl::StrCat("the queue counts ", counted, " ", what, "; there are ", found));
  };
  if (counters.delayed != queue.delayed)
    differ(kDelayed, "delayed messages", counters.delayed, queue.delayed);
  const uint64_t depth = counters.enqueued - counters.deleted;
  if (depth != queue.messages + queue.delayed)
    differ(kMessages, "messages", depth, queue.messages + queue.delayed);
  if (queue.last_sequence >= counters.next_sequence) {
    Problem(kMessages, id, queue.last_sequence,
            absl::StrCat("the queue's next sequence is ", counters.next_sequence));
  }
  const uint64_t lowest = std::max(counters.low_watermark, counters.purge_sequence);
  if (queue.first_live < lowest) {
    Problem(kMessages, id, queue.first_live,
            absl::StrCat("the queue says that nothing below ", lowest, " is alive"));
  }
}

void RowCheck::Finish() {
  for (const auto& [id, queue] : queues_) {
    if (!queue.name.empty()) {
      report_.queues.push_back({queue.name, static_cast<int64_t>(queue.messages),
                                static_cast<int64_t>(queue.delayed),
                                static_cast<int64_t>(queue.bytes)});
    }
    if (queue.incomplete || (incomplete_from_.has_value() && id >= *incomplete_from_)) continue;
    if (!queue.defined) {
      Problem(kMeta, id, 0, "there are rows of it, but no definition");
    } else {
      CompareCounts(id, queue);
    }
  }
  if (incomplete_from_ == QueueId(0)) return;
  if (!has_identity_) Problem(kMeta, {}, 0, "the identity row is missing");
  if (!has_boot_) Problem(kMeta, {}, 0, "the boot row is missing");
  if (!has_commit_) Problem(kMeta, {}, 0, "the commit row is missing");
}

}  // namespace barista::storage
