#include "broker/server/queue_definitions.h"

#include <map>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "barista/error.h"
#include "broker/server/log.h"

namespace barista::server {
namespace {

std::string Place(const QueueDefinition& definition) {
  return absl::StrCat(definition.where, ": queue ", definition.name, ": ");
}

// What a queue of the definition has once it is set up, as far as that can be known.
class Durabilities {
 public:
  Durabilities(absl::Span<const QueueDefinition> definitions, const BrokerOptions& options,
               Broker* broker)
      : in_memory_(options.data_dir.empty()),
        default_(in_memory_ ? Durability::kMemory : options.default_durability),
        broker_(broker) {
    for (const QueueDefinition& definition : definitions) {
      defined_.emplace(definition.name, &definition);
    }
  }

  bool in_memory() const { return in_memory_; }
  // Of the queue as it is there; nullopt: it is not, or that is not known.
  std::optional<Durability> Existing(const std::string& name) const {
    if (broker_ == nullptr) return std::nullopt;
    absl::StatusOr<Queue> queue = broker_->GetQueue(name);
    if (!queue.ok()) return std::nullopt;
    const absl::StatusOr<QueueDescription> description = queue->Describe();
    if (!description.ok()) return std::nullopt;
    return description->attributes.durability;
  }
  // nullopt: it is neither there nor defined.
  std::optional<Durability> Of(const std::string& name) const {
    if (const auto existing = Existing(name); existing.has_value()) return existing;
    const auto found = defined_.find(name);
    if (found == defined_.end()) return std::nullopt;
    return found->second->attributes.durability.value_or(default_);
  }

 private:
  const bool in_memory_;
  const Durability default_;
  Broker* const broker_;
  absl::flat_hash_map<std::string, const QueueDefinition*> defined_;
};

std::string WrongDurability(const QueueDefinition& definition, const Durabilities& durabilities) {
  const std::optional<Durability>& wanted = definition.attributes.durability;
  if (!wanted.has_value()) return "";
  if (durabilities.in_memory() && *wanted != Durability::kMemory) {
    return absl::StrCat(Place(definition), "Durability: \"", DurabilityName(*wanted),
                        "\" needs a data directory; this broker is in memory only; limit memory");
  }
  const std::optional<Durability> existing = durabilities.Existing(definition.name);
  if (!existing.has_value() || *existing == *wanted) return "";
  return absl::StrCat(Place(definition), "Durability: \"", DurabilityName(*wanted),
                      "\" is not what the queue has; it is fixed when a queue is created; limit ",
                      DurabilityName(*existing));
}

std::string WrongRedrive(const QueueDefinition& definition, const Durabilities& durabilities,
                         bool queues_known) {
  const std::optional<RedrivePolicy>& policy = definition.attributes.redrive_policy;
  if (!policy.has_value() || policy->dead_letter_queue.empty()) return "";
  const std::optional<Durability> target = durabilities.Of(policy->dead_letter_queue);
  if (!target.has_value()) {
    if (!queues_known) return "";
    return absl::StrCat(Place(definition), "RedrivePolicy: the dead-letter queue \"",
                        policy->dead_letter_queue,
                        "\" does not exist; limit a queue of the broker or of the file");
  }
  const std::optional<Durability> source = durabilities.Of(definition.name);
  if (*target >= *source) return "";
  return absl::StrCat(Place(definition), "RedrivePolicy: the dead-letter queue \"",
                      policy->dead_letter_queue, "\" has Durability ", DurabilityName(*target),
                      "; limit ", DurabilityName(*source), ", that of its source");
}

// What has changed, for the log: "VisibilityTimeout 60 (was 30), tag team bar".
std::string Differences(const QueueDescription& before, const QueueDescription& after) {
  const auto values = [](const QueueDescription& description) {
    std::map<std::string, std::string> all = FormatQueueAttributes(description);
    for (const auto& [key, value] : description.tags) all[absl::StrCat("tag ", key)] = value;
    return all;
  };
  const auto told = [](const std::string& name) {
    return name != "LastModifiedTimestamp" && !absl::StartsWith(name, "ApproximateNumber");
  };
  const std::map<std::string, std::string> old = values(before), now = values(after);
  std::vector<std::string> texts;
  for (const auto& [name, value] : now) {
    const auto found = old.find(name);
    if (!told(name) || (found != old.end() && found->second == value)) continue;
    texts.push_back(absl::StrCat(
        name, " ", value, found == old.end() ? "" : absl::StrCat(" (was ", found->second, ")")));
  }
  for (const auto& [name, value] : old) {
    if (now.count(name) == 0) texts.push_back(absl::StrCat(name, " is gone (was ", value, ")"));
  }
  return absl::StrJoin(texts, ", ");
}

absl::Status SetTags(const QueueTags& old, const QueueTags& wanted, Queue& queue) {
  if (old == wanted) return absl::OkStatus();
  std::vector<std::string> gone;
  for (const auto& [key, value] : old) {
    if (wanted.count(key) == 0) gone.push_back(key);
  }
  if (!gone.empty()) {
    if (absl::Status status = queue.Untag(gone); !status.ok()) return status;
  }
  return wanted.empty() ? absl::OkStatus() : queue.Tag(wanted);
}

// One queue, but not its redrive policy: the dead-letter queue may come later.
absl::Status SetUp(const QueueDefinition& definition, Broker* broker) {
  QueueAttributes attributes = definition.attributes;
  attributes.redrive_policy.reset();
  const bool existed = broker->GetQueue(definition.name).ok();
  absl::StatusOr<Queue> queue =
      broker->CreateQueue(definition.name, attributes, definition.tags.value_or(QueueTags()));
  if (!existed && queue.ok()) {
    Log(spdlog::level::info,
        absl::StrCat("queue ", definition.name, " is created (", definition.where, ")"),
        {{"queue", definition.name}});
    return absl::OkStatus();
  }
  const bool differs = absl::IsAlreadyExists(queue.status());
  if (differs) queue = broker->GetQueue(definition.name);
  if (!queue.ok()) return queue.status();
  const absl::StatusOr<QueueDescription> before = queue->Describe();
  if (!before.ok()) return before.status();
  if (differs) {
    if (absl::Status status = queue->SetAttributes(attributes); !status.ok()) return status;
  }
  if (definition.tags.has_value()) {
    absl::Status status = SetTags(before->tags, *definition.tags, *queue);
    if (!status.ok()) return status;
  }
  const absl::StatusOr<QueueDescription> after = queue->Describe();
  if (!after.ok()) return after.status();
  if (const std::string changes = Differences(*before, *after); !changes.empty()) {
    Log(spdlog::level::info,
        absl::StrCat("queue ", definition.name, " has changed: ", changes, " (", definition.where,
                     ")"),
        {{"queue", definition.name}});
  }
  return absl::OkStatus();
}

absl::Status SetRedrivePolicy(const QueueDefinition& definition, Broker* broker) {
  const std::optional<RedrivePolicy>& wanted = definition.attributes.redrive_policy;
  if (!wanted.has_value()) return absl::OkStatus();
  absl::StatusOr<Queue> queue = broker->GetQueue(definition.name);
  if (!queue.ok()) return queue.status();
  const absl::StatusOr<QueueDescription> before = queue->Describe();
  if (!before.ok()) return before.status();
  const std::optional<RedrivePolicy>& old = before->attributes.redrive_policy;
  if (wanted->dead_letter_queue.empty() ? !old.has_value() : old == wanted) {
    return absl::OkStatus();
  }
  QueueAttributes attributes;
  attributes.redrive_policy = wanted;
  if (absl::Status status = queue->SetAttributes(attributes); !status.ok()) return status;
  const absl::StatusOr<QueueDescription> after = queue->Describe();
  if (!after.ok()) return after.status();
  Log(spdlog::level::info,
      absl::StrCat("queue ", definition.name, " has changed: ", Differences(*before, *after), " (",
                   definition.where, ")"),
      {{"queue", definition.name}});
  return absl::OkStatus();
}

// The same error, of this queue.
absl::Status At(const QueueDefinition& definition, const absl::Status& status) {
  return MakeError(status.code(), absl::StrCat(Place(definition), status.message()),
                   GetErrorInfo(status));
}

}  // namespace

std::vector<std::string> CheckQueues(absl::Span<const QueueDefinition> definitions,
                                     const BrokerOptions& options, Broker* broker) {
  const Durabilities durabilities(definitions, options, broker);
  std::vector<std::string> wrong;
  for (const QueueDefinition& definition : definitions) {
    for (std::string text : {WrongDurability(definition, durabilities),
                             WrongRedrive(definition, durabilities, broker != nullptr)}) {
      if (!text.empty()) wrong.push_back(std::move(text));
    }
  }
  return wrong;
}

absl::Status WrongQueues(absl::Span<const std::string> texts) {
  return MakeError(absl::StatusCode::kInvalidArgument, absl::StrJoin(texts, "\n"),
                   {.reason = "InvalidParameterValue", .field = "queues"});
}

absl::Status SetUpQueues(absl::Span<const QueueDefinition> definitions, Broker* broker) {
  const std::vector<std::string> wrong = CheckQueues(definitions, broker->options(), broker);
  if (!wrong.empty()) return WrongQueues(wrong);
  for (const QueueDefinition& definition : definitions) {
    if (absl::Status status = SetUp(definition, broker); !status.ok()) {
      return At(definition, status);
    }
  }
  for (const QueueDefinition& definition : definitions) {
    if (absl::Status status = SetRedrivePolicy(definition, broker); !status.ok()) {
      return At(definition, status);
    }
  }
  return absl::OkStatus();
}

}  // namespace barista::server
