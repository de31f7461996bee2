#include "broker/server/settings_file.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <boost/json.hpp>
#include <optional>
#include <sstream>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "broker/server/security/private_file.h"
#include "broker/server/settings.h"
#include "broker/server/text.h"

namespace barista::server {
namespace {

// Of what stands in the file, in errors.
constexpr size_t kMaxQuotedBytes = 128;
// More than there are attributes, and than a queue may have tags: what has more is refused without
// a look at each.
constexpr size_t kMaxEntries = 100;

std::string Quoted(const std::string& text) {
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kMaxQuotedBytes)), "\"");
}

// Reads the nodes of one file; errors are gathered.
class Reader {
 public:
  Reader(const std::string& path, std::vector<std::string>* errors)
      : path_(path), errors_(errors) {}

  void ReadRoot(const YAML::Node& root, SettingsFile& file) {
    if (root.IsNull()) return;
    if (!root.IsMap()) return Wrong(root, "expected lines like \"memory_limit: 1GiB\"");
    absl::flat_hash_set<std::string> seen;
    for (const auto& entry : root) {
      if (full()) return;
      const std::string key = KeyOf(entry.first);
      if (!seen.insert(key).second) {
        Wrong(entry.first, absl::StrCat(key, ": given twice"));
      } else if (key == "queues") {
        ReadQueues(entry.second, file.queues);
      } else {
        ReadSetting(key, entry.first, entry.second, file);
      }
    }
  }

  void Wrong(const YAML::Mark& mark, absl::string_view what) {
    if (errors_->size() < SettingsFile::kMaxErrors) {
      errors_->push_back(absl::StrCat(At(mark), ": ", what));
    } else if (!full()) {
      errors_->push_back(absl::StrCat(path_, ": there are more errors"));
    }
  }

 private:
  bool full() const { return errors_->size() > SettingsFile::kMaxErrors; }
  std::string At(const YAML::Mark& mark) const { return absl::StrCat(path_, ":", mark.line + 1); }
  void Wrong(const YAML::Node& node, absl::string_view what) { Wrong(node.Mark(), what); }
  void WrongQueue(const YAML::Node& node, const std::string& queue, absl::string_view what) {
    Wrong(node, absl::StrCat("queue ", queue.empty() ? "without a name" : queue, ": ", what));
  }
  static std::string KeyOf(const YAML::Node& node) { return node.IsScalar() ? node.Scalar() : ""; }

  void ReadSetting(const std::string& key, const YAML::Node& at, const YAML::Node& value,
                   SettingsFile& file) {
    std::vector<std::string> known;
    for (const Setting& setting : Settings()) {
      known.push_back(setting.yaml_key());
      if (known.back() != key) continue;
      if (!value.IsScalar()) return Wrong(at, absl::StrCat(key, ": expected one value"));
      file.settings[setting.name] = {value.Scalar(), At(at.Mark())};
      return;
    }
    known.emplace_back("queues");
    Wrong(at, absl::StrCat("unknown key ", Quoted(key), "; known: ", absl::StrJoin(known, " ")));
  }

  void ReadQueues(const YAML::Node& list, std::vector<QueueDefinition>& queues) {
    if (list.IsNull()) return;
    if (!list.IsSequence()) {
      return Wrong(list, "queues: expected a list of queues, each with name, attributes and tags");
    }
    if (list.size() > QueueDefinition::kMaxInFile) {
      return Wrong(list, absl::StrCat("queues: there are ", list.size(), "; limit ",
                                      QueueDefinition::kMaxInFile));
    }
    absl::flat_hash_set<std::string> names;
    for (const auto& node : list) {
      if (full()) return;
      std::optional<QueueDefinition> queue = ReadQueue(node);
      if (!queue.has_value()) continue;
      if (names.insert(queue->name).second) {
        queues.push_back(*std::move(queue));
      } else {
        WrongQueue(node, queue->name, "given twice");
      }
    }
  }

  std::optional<QueueDefinition> ReadQueue(const YAML::Node& node) {
    if (!node.IsMap()) {
      Wrong(node, "queues: expected a queue, such as \"name: orders\"");
      return std::nullopt;
    }
    QueueDefinition queue;
    queue.where = At(node.Mark());
    YAML::Node attributes, tags;
    absl::flat_hash_set<std::string> seen;
    for (const auto& entry : node) {
      if (full()) return std::nullopt;
      const std::string key = KeyOf(entry.first);
      if (!seen.insert(key).second) {
        Wrong(entry.first, absl::StrCat("queues: ", key, ": given twice"));
      } else if (key == "name") {
        queue.name = ReadName(entry.second);
      } else if (key == "attributes") {
        attributes.reset(entry.second);
      } else if (key == "tags") {
        tags.reset(entry.second);
      } else {
        Wrong(entry.first,
              absl::StrCat("queues: unknown key ", Quoted(key), "; known: name attributes tags"));
      }
    }
    if (!seen.contains("name")) WrongQueue(node, "", "expected a name");
    if (seen.contains("attributes")) ReadAttributes(attributes, queue);
    if (seen.contains("tags")) ReadTags(tags, queue);
    return queue.name.empty() ? std::nullopt : std::make_optional(std::move(queue));
  }

  // Empty: it is none.
  std::string ReadName(const YAML::Node& node) {
    const absl::Status valid = CheckQueueName(KeyOf(node));
    if (valid.ok()) return node.Scalar();
    Wrong(node, absl::StrCat("queues: name: ", ToUtf8(valid.message())));
    return "";
  }

  void ReadAttributes(const YAML::Node& node, QueueDefinition& queue) {
    if (node.IsNull()) return;
    if (!node.IsMap() || node.size() > kMaxEntries) {
      return WrongQueue(
          node, queue.name,
          absl::StrCat("attributes: expected up to ", kMaxEntries,
                       " attributes by their AWS names, such as \"VisibilityTimeout: 60\""));
    }
    std::map<std::string, std::string> text;
    for (const auto& entry : node) {
      const std::string name = KeyOf(entry.first);
      const std::optional<std::string> value = name == "RedrivePolicy" && entry.second.IsMap()
                                                   ? ReadRedrivePolicy(entry.second, queue)
                                                   : ReadValue(name, entry, queue);
      if (!value.has_value()) continue;
      if (!text.emplace(name, *value).second) {
        WrongQueue(entry.first, queue.name, absl::StrCat(name, ": given twice"));
        continue;
      }
      // By itself, so that each error has its line.
      const auto parsed = ParseQueueAttributes({{name, *value}});
      if (parsed.ok()) continue;
      WrongQueue(entry.first, queue.name, ToUtf8(parsed.status().message()));
      text.erase(name);
    }
    absl::StatusOr<QueueAttributes> attributes = ParseQueueAttributes(text);
    if (attributes.ok()) queue.attributes = *std::move(attributes);
  }

  std::optional<std::string> ReadValue(const std::string& name,
                                       const YAML::detail::iterator_value& entry,
                                       const QueueDefinition& queue) {
    if (entry.second.IsScalar()) return entry.second.Scalar();
    WrongQueue(entry.first, queue.name, absl::StrCat(Quoted(name), ": expected one value"));
    return std::nullopt;
  }

  // As AWS writes it.
  std::optional<std::string> ReadRedrivePolicy(const YAML::Node& node,
                                               const QueueDefinition& queue) {
    boost::json::object policy;
    for (const auto& entry : node) {
      const std::string key = KeyOf(entry.first);
      const bool by_name = key == "deadLetterQueue";
      const std::string json_key = by_name ? "deadLetterTargetArn" : key;
      std::string wrong;
      if (!by_name && key != "deadLetterTargetArn" && key != "maxReceiveCount") {
        wrong = absl::StrCat("unknown key ", Quoted(key),
                             "; known: deadLetterQueue deadLetterTargetArn maxReceiveCount");
      } else if (!entry.second.IsScalar()) {
        wrong = absl::StrCat(key, ": expected one value");
      } else if (by_name && !CheckQueueName(entry.second.Scalar()).ok()) {
        wrong = absl::StrCat(key, ": ", CheckQueueName(entry.second.Scalar()).message());
      } else if (policy.contains(json_key)) {
        wrong = absl::StrCat(key, ": the dead-letter queue is given twice");
      }
      if (!wrong.empty()) {
        WrongQueue(entry.first, queue.name, absl::StrCat("RedrivePolicy: ", ToUtf8(wrong)));
        return std::nullopt;
      }
      policy[json_key] = absl::StrCat(by_name ? "arn:aws:sqs:::" : "", entry.second.Scalar());
    }
    return boost::json::serialize(policy);
  }

  void ReadTags(const YAML::Node& node, QueueDefinition& queue) {
    queue.tags.emplace();
    if (node.IsNull()) return;
    if (!node.IsMap() || node.size() > kMaxEntries) {
      return WrongQueue(node, queue.name, "tags: expected up to 50 tags, such as \"team: bar\"");
    }
    for (const auto& entry : node) {
      if (!entry.first.IsScalar() || !entry.second.IsScalar()) {
        WrongQueue(entry.first, queue.name, "tags: expected one key and one value");
      } else if (!queue.tags->emplace(entry.first.Scalar(), entry.second.Scalar()).second) {
        WrongQueue(entry.first, queue.name,
                   absl::StrCat("tags: ", Quoted(entry.first.Scalar()), ": given twice"));
      }
    }
    const absl::Status valid = CheckQueueTags(*queue.tags);
    if (!valid.ok()) WrongQueue(node, queue.name, ToUtf8(valid.message()));
  }

  const std::string& path_;
  std::vector<std::string>* const errors_;
};

// Where the second document of `text` begins. Not YAML::LoadAll: it reads documents without end out
// of what the parser does not move past, such as ",c".
std::optional<YAML::Mark> SecondDocument(const std::string& text) {
  class Begin final : public YAML::EventHandler {
   public:
    void OnDocumentStart(const YAML::Mark& begin) override { mark = begin; }
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
    void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
    void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  const std::string&) override {}
    void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                         YAML::EmitterStyle::value) override {}
    void OnSequenceEnd() override {}
    void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                    YAML::EmitterStyle::value) override {}
    void OnMapEnd() override {}

    YAML::Mark mark;
  };
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  Begin begin;
  if (!parser.HandleNextDocument(begin) || !parser.HandleNextDocument(begin)) return std::nullopt;
  return begin.mark;
}

}  // namespace

SettingsFile ReadSettingsFile(const std::string& path, std::vector<std::string>* errors) {
  SettingsFile file;
  const absl::StatusOr<std::string> text =
      ReadSmallFile(path, SettingsFile::kMaxBytes, Privacy::kAnyone);
  if (!text.ok()) {
    errors->emplace_back(text.status().message());
    return file;
  }
  Reader reader(path, errors);
  try {
    reader.ReadRoot(YAML::Load(*text), file);
    const std::optional<YAML::Mark> second = SecondDocument(*text);
    if (second.has_value()) reader.Wrong(*second, "a second document begins here; limit 1");
  } catch (const YAML::Exception& error) {
    reader.Wrong(error.mark, error.msg);
  }
  return file;
}

}  // namespace barista::server
