// barista queue create, list, describe, set, purge, delete

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "boost/json/object.hpp"
#include "boost/json/serialize.hpp"
#include "client/cli/message_format.h"
#include "client/cli/parse.h"
#include "client/cli/session.h"

namespace barista::cli {
namespace {

using Attributes = std::map<std::string, std::string>;

// The options that say what a queue is like, as they were given.
struct QueueFlags {
  std::optional<absl::Duration> visibility_timeout, delay, retention, receive_wait;
  std::optional<int64_t> max_message_size, max_in_flight;
  std::string durability, body_charset, dead_letter_queue;
  std::optional<int> max_receive_count;
  std::vector<std::string> attributes, tags, untag;
};

void AddQueueFlags(CLI::App& app, QueueFlags& flags) {
  const std::string group = "Attributes";
  AddDurationOption(app, "--visibility-timeout", flags.visibility_timeout,
                    "How long a received message is hidden, 0s to 12h (default 30s)")
      ->group(group);
  AddDurationOption(app, "--delay", flags.delay,
                    "How long a sent message stays invisible, 0s to 15m (default 0s)")
      ->group(group);
  AddDurationOption(app, "--retention", flags.retention,
                    "When a message that nobody deleted is dropped, 60s to 14d (default 4d)")
      ->group(group);
  AddDurationOption(app, "--receive-wait", flags.receive_wait,
                    "How long a receive that does not say waits, 0s to 20s (default 0s)")
      ->group(group);
  AddSizeOption(app, "--max-message-size", flags.max_message_size,
                "Largest message with its attributes, 1KiB to 1MiB (default 1MiB)")
      ->group(group);
  app.add_option("--max-in-flight", flags.max_in_flight,
                 "Messages received and not deleted, 1 to 1000000000 (default 120000)")
      ->type_name("N")
      ->group(group);
  app.add_option("--body-charset", flags.body_charset,
                 "text: characters that SQS allows; binary: any bytes (default text)")
      ->check(OneOf({"text", "binary"}))
      ->type_name("text|binary")
      ->group(group);
  CLI::Option* dead_letter =
      app.add_option("--dead-letter-queue", flags.dead_letter_queue,
                     "Queue that takes messages received too often; must exist")
          ->type_name("QUEUE")
          ->group(group);
  app.add_option("--max-receive-count", flags.max_receive_count,
                 "How often before they go there, 1 to 1000 (default 5)")
      ->type_name("N")
      ->needs(dead_letter)
      ->group(group);
  app.add_option("--attribute", flags.attributes,
                 "An attribute by its AWS name, such as VisibilityTimeout=30; repeatable")
      ->allow_extra_args(false)
      ->type_name("NAME=VALUE")
      ->group(group);
  app.add_option("--tag", flags.tags, "A tag; repeatable")
      ->allow_extra_args(false)
      ->type_name("KEY=VALUE")
      ->group(group);
}

absl::Status Put(Attributes& attributes, const std::string& name, std::string value) {
  if (!attributes.emplace(name, std::move(value)).second) {
    return WrongUsage(absl::StrCat("the attribute ", name, " is given twice"));
  }
  return absl::OkStatus();
}

absl::Status PutSeconds(Attributes& attributes, const std::string& name,
                        const std::optional<absl::Duration>& duration) {
  if (!duration.has_value()) return absl::OkStatus();
  auto seconds = WholeSeconds(*duration);
  if (!seconds.ok()) return WrongUsage(absl::StrCat(name, ": ", seconds.status().message()));
  return Put(attributes, name, *seconds);
}

// The AWS attributes that the flags stand for. Asks the broker for the ARN of a dead-letter queue.
absl::StatusOr<Attributes> ToAttributes(const QueueFlags& flags, Session& session) {
  Attributes attributes;
  for (const std::string& text : flags.attributes) {
    auto pair = ParseKeyValue(text);
    if (!pair.ok()) return WrongUsage(absl::StrCat("--attribute: ", pair.status().message()));
    if (absl::Status s = Put(attributes, pair->first, pair->second); !s.ok()) return s;
  }
  for (const auto& [name, duration] :
       {std::make_pair("VisibilityTimeout", &flags.visibility_timeout),
        std::make_pair("DelaySeconds", &flags.delay),
        std::make_pair("MessageRetentionPeriod", &flags.retention),
        std::make_pair("ReceiveMessageWaitTimeSeconds", &flags.receive_wait)}) {
    if (absl::Status s = PutSeconds(attributes, name, *duration); !s.ok()) return s;
  }
  for (const auto& [name, number] :
       {std::make_pair("MaximumMessageSize", &flags.max_message_size),
        std::make_pair("MaximumInFlightMessages", &flags.max_in_flight)}) {
    if (!number->has_value()) continue;
    if (absl::Status s = Put(attributes, name, absl::StrCat(**number)); !s.ok()) return s;
  }
  for (const auto& [name, text] : {std::make_pair("Durability", &flags.durability),
                                   std::make_pair("BodyCharset", &flags.body_charset)}) {
    if (text->empty()) continue;
    if (absl::Status s = Put(attributes, name, *text); !s.ok()) return s;
  }
  if (!flags.dead_letter_queue.empty()) {
    v1::GetQueueRequest request;
    request.set_queue(flags.dead_letter_queue);
    auto dead_letter_queue = session.client().GetQueue(request);
    if (!dead_letter_queue.ok()) return dead_letter_queue.status();
    const boost::json::object policy{{"deadLetterTargetArn", dead_letter_queue->queue().arn()},
                                     {"maxReceiveCount", flags.max_receive_count.value_or(5)}};
    absl::Status s = Put(attributes, "RedrivePolicy", boost::json::serialize(policy));
    if (!s.ok()) return s;
  }
  return attributes;
}

absl::StatusOr<Attributes> ToTags(const QueueFlags& flags) {
  Attributes tags;
  for (const std::string& text : flags.tags) {
    auto pair = ParseKeyValue(text);
    if (!pair.ok()) return WrongUsage(absl::StrCat("--tag: ", pair.status().message()));
    if (!tags.insert(*pair).second) {
      return WrongUsage(absl::StrCat("the tag ", pair->first, " is given twice"));
    }
  }
  return tags;
}

// What a command that only does something answers.
void Confirm(Session& session, const std::string& queue, const std::string& text) {
  if (session.output().json()) {
    session.output().Json({{"name", queue}});
  } else {
    session.output().Line(text);
  }
}

int Create(Session& session, const std::string& name, const QueueFlags& flags) {
  auto attributes = ToAttributes(flags, session);
  if (!attributes.ok()) return session.Finish(attributes.status());
  auto tags = ToTags(flags);
  if (!tags.ok()) return session.Finish(tags.status());
  v1::CreateQueueRequest request;
  request.set_queue(name);
  request.mutable_attributes()->insert(attributes->begin(), attributes->end());
  request.mutable_tags()->insert(tags->begin(), tags->end());
  auto response = session.client().CreateQueue(request);
  if (!response.ok()) return session.Finish(response.status());
  if (session.output().json()) {
    session.output().Json(QueueToJson(response->queue()));
  } else {
    session.output().Line(absl::StrCat("queue ", name, " stands (", response->queue().arn(), ")"));
  }
  return session.Finish(absl::OkStatus());
}

int List(Session& session, const std::string& prefix) {
  v1::ListQueuesRequest request;
  request.set_prefix(prefix);
  do {
    auto page = session.client().ListQueues(request);
    if (!page.ok()) return session.Finish(page.status());
    for (const std::string& name : page->queues()) {
      if (session.output().json()) {
        session.output().Json({{"name", name}});
      } else {
        session.output().Line(name);
      }
    }
    request.set_next_token(page->next_token());
  } while (!request.next_token().empty());
  return session.Finish(absl::OkStatus());
}

// Times for people; the rest as the API has it.
std::string AttributeText(const std::string& key, const std::string& value) {
  int64_t seconds = 0;
  if (!absl::EndsWith(key, "Timestamp") || !absl::SimpleAtoi(value, &seconds)) return value;
  return IsoTime(absl::FromUnixSeconds(seconds));
}

int Describe(Session& session, const std::string& name) {
  v1::GetQueueRequest request;
  request.set_queue(name);
  auto response = session.client().GetQueue(request);
  if (!response.ok()) return session.Finish(response.status());
  const v1::Queue& queue = response->queue();
  if (session.output().json()) {
    session.output().Json(QueueToJson(queue));
    return session.Finish(absl::OkStatus());
  }
  Table table({"queue", queue.name()});
  table.Row({"arn", queue.arn()});
  table.Row({"url", queue.url()});
  for (const auto& [key, value] :
       Attributes(queue.attributes().begin(), queue.attributes().end())) {
    if (key != "QueueArn") table.Row({key, AttributeText(key, value)});
  }
  for (const auto& [key, value] : Attributes(queue.tags().begin(), queue.tags().end())) {
    table.Row({absl::StrCat("tag ", key), value});
  }
  table.Print(session.output());
  return session.Finish(absl::OkStatus());
}

int Set(Session& session, const std::string& name, const QueueFlags& flags) {
  auto attributes = ToAttributes(flags, session);
  if (!attributes.ok()) return session.Finish(attributes.status());
  auto tags = ToTags(flags);
  if (!tags.ok()) return session.Finish(tags.status());
  if (attributes->empty() && tags->empty() && flags.untag.empty()) {
    return session.Finish(WrongUsage("nothing to set: give an attribute, --tag or --untag"));
  }
  if (!attributes->empty()) {
    v1::SetQueueAttributesRequest request;
    request.set_queue(name);
    request.mutable_attributes()->insert(attributes->begin(), attributes->end());
    absl::Status status = session.client().SetQueueAttributes(request);
    if (!status.ok()) return session.Finish(status);
  }
  if (!flags.untag.empty()) {
    v1::UntagQueueRequest request;
    request.set_queue(name);
    request.mutable_tag_keys()->Add(flags.untag.begin(), flags.untag.end());
    absl::Status status = session.client().UntagQueue(request);
    if (!status.ok()) return session.Finish(status);
  }
  if (!tags->empty()) {
    v1::TagQueueRequest request;
    request.set_queue(name);
    request.mutable_tags()->insert(tags->begin(), tags->end());
    absl::Status status = session.client().TagQueue(request);
    if (!status.ok()) return session.Finish(status);
  }
  Confirm(session, name, absl::StrCat("queue ", name, " is changed"));
  return session.Finish(absl::OkStatus());
}

int Purge(Session& session, const std::string& name) {
  v1::PurgeQueueRequest request;
  request.set_queue(name);
  absl::Status status = session.client().PurgeQueue(request);
  if (status.ok()) Confirm(session, name, absl::StrCat("queue ", name, " is purged"));
  return session.Finish(status);
}

int Delete(Session& session, const std::string& name) {
  v1::DeleteQueueRequest request;
  request.set_queue(name);
  absl::Status status = session.client().DeleteQueue(request);
  if (status.ok()) Confirm(session, name, absl::StrCat("queue ", name, " is deleted"));
  return session.Finish(status);
}

// Adds `queue COMMAND QUEUE`, which runs `run`; `argument` is QUEUE, or NAME for a queue that need
// not be there.
CLI::App* AddNamed(CLI::App& queue, const std::string& command, const std::string& argument,
                   const std::string& help, const std::string& examples, Command& chosen,
                   std::function<int(Session&, const std::string&)> run) {
  CLI::App* app = AddCommand(queue, command, help, examples);
  auto name = std::make_shared<std::string>();
  app->add_option(argument, *name, "The queue: 1 to 80 of A-Z a-z 0-9 _ -")->required();
  app->callback([&chosen, name, run = std::move(run)] {
    chosen = [name, run](Session& session) { return run(session, *name); };
  });
  return app;
}

}  // namespace

void AddQueueCommands(CLI::App& app, Command& chosen) {
  CLI::App* queue =
      AddCommand(app, "queue", "Create, list, describe, set, purge, delete queues", "");
  queue->require_subcommand(1);

  auto create_flags = std::make_shared<QueueFlags>();
  CLI::App* create = AddNamed(
      *queue, "create", "NAME",
      "Create a queue; nothing happens if it exists with these attributes",
      "  barista queue create orders --visibility-timeout 2m --tag team=bar\n"
      "  barista queue create orders-dead\n"
      "  barista queue create orders --dead-letter-queue orders-dead --max-receive-count 3\n",
      chosen, [create_flags](Session& s, const std::string& name) {
        return Create(s, name, *create_flags);
      });
  AddQueueFlags(*create, *create_flags);
  create
      ->add_option("--durability", create_flags->durability,
                   "When a send is acknowledged; fsync survives power loss, os a crash of the "
                   "broker, memory nothing (default: the broker's, fsync)")
      ->check(OneOf({"fsync", "os", "memory"}))
      ->type_name("fsync|os|memory")
      ->group("Attributes");

  CLI::App* list = AddCommand(*queue, "list", "List the names of the queues",
                              "  barista queue list\n  barista queue list --prefix orders\n");
  auto prefix = std::make_shared<std::string>();
  list->add_option("--prefix", *prefix, "Only names that begin with it")->type_name("TEXT");
  list->callback([&chosen, prefix] {
    chosen = [prefix](Session& session) { return List(session, *prefix); };
  });

  AddNamed(*queue, "describe", "QUEUE", "Show attributes, counts and tags of a queue",
           "  barista queue describe orders\n"
           "  barista --output json queue describe orders\n",
           chosen, Describe);

  auto set_flags = std::make_shared<QueueFlags>();
  CLI::App* set = AddNamed(
      *queue, "set", "QUEUE", "Change attributes and tags; others stay as they are",
      "  barista queue set orders --visibility-timeout 5m --untag team\n", chosen,
      [set_flags](Session& s, const std::string& name) { return Set(s, name, *set_flags); });
  AddQueueFlags(*set, *set_flags);
  set->add_option("--untag", set_flags->untag, "A tag to remove; repeatable")
      ->allow_extra_args(false)
      ->type_name("KEY")
      ->group("Attributes");

  AddNamed(*queue, "purge", "QUEUE",
           "Remove all messages of a queue, received and delayed ones too",
           "  barista queue purge orders\n", chosen, Purge);
  AddNamed(*queue, "delete", "QUEUE", "Remove a queue with all its messages",
           "  barista queue delete orders\n", chosen, Delete);
}

}  // namespace barista::cli
