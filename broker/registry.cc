#include "broker/registry.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "barista/error.h"
#include "broker/message/attributes.h"
#include "broker/message/validation.h"
#include "broker/queue/definition.h"

namespace barista::internal {
namespace {

constexpr char kTokenPrefix[] = "after:";

}  // namespace

// What the operations on definitions have in common: synced, and their caller waits.
class DefinitionOp : public commit::Operation {
 public:
  explicit DefinitionOp(Registry* registry)
      : Operation(Durability::kFsync, 1024), registry_(registry) {}
  void Complete(const absl::Status& status) override {
    status_ = status;
    done_.Notify();
  }
  // Runs on the caller's stack.
  absl::Status Run(commit::CommitLog* log) {
    log->SubmitAndWait(this, &done_);
    return status_;
  }

 protected:
  Registry* const registry_;

 private:
  absl::Status status_;
  Notification done_;
};

class CreateQueueOp final : public DefinitionOp {
 public:
  CreateQueueOp(Registry* registry, absl::string_view name, const QueueAttributes& attributes,
                const QueueTags& tags)
      : DefinitionOp(registry), name_(name), attributes_(attributes), tags_(tags) {}

  absl::Status Prepare(commit::Turn& turn) override {
    if (const auto it = registry_->defined_.find(name_); it != registry_->defined_.end()) {
      queue_ = it->second;
      return CompareWithExisting();
    }
    QueueDescription description;
    description.name = name_;
    description.attributes =
        Merge(DefaultQueueAttributes(registry_->engine_->options.default_durability), attributes_);
    description.tags = tags_;
    description.created_at = absl::FromUnixMillis(turn.wall_ms());
    description.last_modified_at = description.created_at;
    if (absl::Status status = registry_->CheckRedrivePolicy(description); !status.ok())
      return status;
    created_ = true;
    const QueueId id(registry_->next_id_++);
    definition_ = EncodeDefinition(description);
    next_id_ = absl::StrCat(registry_->next_id_);
    queue_ = registry_->Make(id, std::move(description), storage::QueueCounters());
    registry_->defined_.emplace(queue_->name(), queue_);
    turn.batch().Add(storage::Batch::PutDefinition{id, definition_});
    turn.batch().Add(storage::Batch::PutDefinition{kNextIdRow, next_id_});
    return absl::OkStatus();
  }

  void Publish() override {
    if (!created_) return;
    registry_->list_.Add(queue_);
    MutexLock lock(&registry_->mutex_);
    registry_->queues_.emplace(queue_->name(), queue_);
  }

  const std::shared_ptr<StandardQueue>& queue() const { return queue_; }

 private:
  absl::Status CompareWithExisting() const {
    const QueueDescription& existing = *queue_->pending_definition();
    std::string difference(FirstDifference(existing.attributes, attributes_));
    if (difference.empty() && !tags_.empty() && tags_ != existing.tags) difference = "tags";
    if (difference.empty()) return absl::OkStatus();
    return MakeError(
        absl::StatusCode::kAlreadyExists,
        absl::StrCat(
            "A queue already exists with the same name and a different value for attribute ",
            difference),
        {.reason = "QueueNameExists", .field = difference, .value = name_});
  }

  const std::string name_;
  const QueueAttributes attributes_;
  const QueueTags tags_;
  std::string definition_;
  std::string next_id_;
  std::shared_ptr<StandardQueue> queue_;
  bool created_ = false;
};

class RedefineOp final : public DefinitionOp {
 public:
  RedefineOp(Registry* registry, StandardQueue* queue, const QueueAttributes& attributes,
             const QueueTags* tags, absl::Span<const std::string> untag)
      : DefinitionOp(registry),
        queue_(queue),
        attributes_(attributes),
        tags_(tags),
        untag_(untag) {}

  absl::Status Prepare(commit::Turn& turn) override {
    const auto it = registry_->defined_.find(queue_->name());
    if (it == registry_->defined_.end() || it->second.get() != queue_)
      return QueueDoesNotExist(queue_->name());
    QueueDescription description = *queue_->pending_definition();
    if (attributes_.durability.has_value() &&
        attributes_.durability != description.attributes.durability) {
      return MakeError(absl::StatusCode::kInvalidArgument,
                       "Invalid value for the parameter Durability. Reason: it is fixed when the "
                       "queue is created.",
                       {.reason = "InvalidAttributeValue",
                        .field = "Durability",
                        .value = std::string(DurabilityName(*attributes_.durability)),
                        .limit = std::string(DurabilityName(queue_->durability()))});
    }
    description.attributes = Merge(description.attributes, attributes_);
    if (tags_ != nullptr) {
      for (const auto& [key, value] : *tags_) description.tags[key] = value;
      if (absl::Status status = ValidateTags(description.tags); !status.ok()) return status;
    }
    for (const std::string& key : untag_) description.tags.erase(key);
    if (absl::Status status = registry_->CheckRedrivePolicy(description); !status.ok())
      return status;
    description.last_modified_at = absl::FromUnixMillis(turn.wall_ms());
    definition_ = EncodeDefinition(description);
    description_ = std::make_shared<const QueueDescription>(std::move(description));
    queue_->set_pending_definition(description_);
    turn.batch().Add(storage::Batch::PutDefinition{queue_->id(), definition_});
    return absl::OkStatus();
  }

  void Publish() override { queue_->ApplyDefinition(description_); }
  void Complete(const absl::Status& status) override {
    if (status.ok()) queue_->WakeAfterRedefinition();
    DefinitionOp::Complete(status);
  }

 private:
  StandardQueue* const queue_;
  const QueueAttributes& attributes_;
  const QueueTags* const tags_;
  const absl::Span<const std::string> untag_;
  Definition description_;
  std::string definition_;
};

class DeleteQueueOp final : public DefinitionOp {
 public:
  DeleteQueueOp(Registry* registry, absl::string_view name) : DefinitionOp(registry), name_(name) {}

  absl::Status Prepare(commit::Turn& turn) override {
    const auto it = registry_->defined_.find(name_);
    if (it == registry_->defined_.end()) return QueueDoesNotExist(name_);
    queue_ = it->second;
    registry_->defined_.erase(it);
    queue_->PrepareDrop();
    turn.batch().Add(storage::Batch::DropQueue{queue_->id()});
    return absl::OkStatus();
  }

  void Publish() override {
    {
      MutexLock lock(&registry_->mutex_);
      registry_->queues_.erase(name_);
    }
    registry_->list_.Remove(*queue_);
    queue_->Drop();
  }

  const std::shared_ptr<StandardQueue>& queue() const { return queue_; }

 private:
  const std::string name_;
  std::shared_ptr<StandardQueue> queue_;
};

absl::Status Registry::Load() {
  absl::Status status =
      engine_->store->VisitQueues([this](const storage::StoredQueue& row) { return Add(row); });
  if (!status.ok()) return status;
  for (const auto& [name, queue] : defined_) queue->ArmNextDelay();
  return absl::OkStatus();
}

absl::Status Registry::Add(const storage::StoredQueue& row) {
  if (row.queue == kNextIdRow) {
    uint32_t next;
    if (!absl::SimpleAtoi(row.definition, &next)) {
      return MakeError(
          absl::StatusCode::kDataLoss, "the row of the next queue id is not a number",
          {.reason = "DataCorrupt", .field = "next queue id", .value = row.definition});
    }
    next_id_ = std::max(next_id_, next);
    return absl::OkStatus();
  }
  absl::StatusOr<QueueDescription> description = DecodeDefinition(row.definition);
  if (!description.ok()) return description.status();
  next_id_ = std::max(next_id_, row.queue.value() + 1);
  const std::shared_ptr<StandardQueue> queue =
      Make(row.queue, *std::move(description), row.counters);
  defined_.emplace(queue->name(), queue);
  list_.Add(queue);
  MutexLock lock(&mutex_);
  queues_.emplace(queue->name(), queue);
  return absl::OkStatus();
}

std::shared_ptr<StandardQueue> Registry::Make(QueueId id, QueueDescription description,
                                              const storage::QueueCounters& counters) {
  return std::make_shared<StandardQueue>(
      engine_, id, std::make_shared<const QueueDescription>(std::move(description)), counters);
}

absl::Status Registry::CheckDurability(Durability durability) const {
  if (!engine_->options.data_dir.empty() || durability == Durability::kMemory)
    return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument,
                   absl::StrCat("Invalid value for the parameter Durability. Reason: \"",
                                DurabilityName(durability),
                                "\" needs a data directory; this broker is in memory only."),
                   {.reason = "InvalidAttributeValue",
                    .field = "Durability",
                    .value = std::string(DurabilityName(durability)),
                    .limit = "memory"});
}

absl::Status Registry::CheckRedrivePolicy(const QueueDescription& definition) const {
  if (!definition.attributes.redrive_policy.has_value()) return absl::OkStatus();
  const std::string& name = definition.attributes.redrive_policy->dead_letter_queue;
  if (name == definition.name) return absl::OkStatus();  // To itself: as SQS, accepted.
  const auto it = defined_.find(name);
  if (it == defined_.end())
    return InvalidParameter("RedrivePolicy", name, "Dead letter target does not exist.",
                            "the name of a queue");
  if (it->second->durability() < *definition.attributes.durability) {
    return InvalidParameter(
        "RedrivePolicy", name,
        absl::StrCat("the dead-letter queue has Durability ",
                     DurabilityName(it->second->durability()), ", weaker than the source's ",
                     DurabilityName(*definition.attributes.durability), "."),
        "at least the durability of the source");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<StandardQueue>> Registry::Create(absl::string_view name,
                                                                const QueueAttributes& attributes,
                                                                const QueueTags& tags) {
  if (absl::Status status = ValidateQueueName(name); !status.ok()) return status;
  if (absl::Status status = ValidateQueueAttributes(attributes); !status.ok()) return status;
  if (attributes.durability.has_value()) {
    if (absl::Status status = CheckDurability(*attributes.durability); !status.ok()) return status;
  }
  if (absl::Status status = ValidateTags(tags); !status.ok()) return status;
  CreateQueueOp operation(this, name, attributes, tags);
  if (absl::Status status = operation.Run(engine_->log); !status.ok()) return status;
  return operation.queue();
}

absl::Status Registry::Redefine(StandardQueue* queue, const QueueAttributes& attributes,
                                const QueueTags* tags, absl::Span<const std::string> untag) {
  return RedefineOp(this, queue, attributes, tags, untag).Run(engine_->log);
}

absl::Status Registry::Delete(absl::string_view name) {
  DeleteQueueOp operation(this, name);
  if (absl::Status status = operation.Run(engine_->log); !status.ok()) return status;
  operation.queue()->EndReceives(QueueDoesNotExist(name));
  engine_->request_reclaim();
  return absl::OkStatus();
}

std::shared_ptr<StandardQueue> Registry::Find(absl::string_view name) const {
  MutexLock lock(&mutex_);
  const auto it = queues_.find(name);
  return it == queues_.end() ? nullptr : it->second;
}

absl::StatusOr<ListQueuesResult> Registry::List(const ListQueuesOptions& options) const {
  constexpr int kMaxResults = 1000;
  if (options.max_results < 1 || options.max_results > kMaxResults) {
    return InvalidParameter("MaxResults", absl::StrCat(options.max_results),
                            "MaxResults must be an integer between 1 and 1000.", "1 to 1000");
  }
  absl::string_view after = options.next_token;
  if (!after.empty() &&
      (!absl::ConsumePrefix(&after, kTokenPrefix) || !absl::StartsWith(after, options.prefix))) {
    return InvalidParameter("NextToken", options.next_token, "Invalid or expired next token.",
                            "the token of the previous page, with the same prefix");
  }
  ListQueuesResult result;
  MutexLock lock(&mutex_);
  for (auto it = after.empty() ? queues_.lower_bound(options.prefix) : queues_.upper_bound(after);
       it != queues_.end() && absl::StartsWith(it->first, options.prefix); ++it) {
    if (result.names.size() == static_cast<size_t>(options.max_results)) {
      result.next_token = absl::StrCat(kTokenPrefix, result.names.back());
      break;
    }
    result.names.emplace_back(it->first);
  }
  return result;
}

std::vector<std::shared_ptr<StandardQueue>> Registry::All() const {
  MutexLock lock(&mutex_);
  std::vector<std::shared_ptr<StandardQueue>> all;
  all.reserve(queues_.size());
  for (const auto& [name, queue] : queues_) all.push_back(queue);
  return all;
}

size_t Registry::size() const {
  MutexLock lock(&mutex_);
  return queues_.size();
}

}  // namespace barista::internal
