#ifndef BROKER_SERVER_SETTINGS_FILE_H_
#define BROKER_SERVER_SETTINGS_FILE_H_

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "broker/server/queue_definitions.h"

namespace barista::server {

// The YAML file of --config: settings by their keys, and the queues that are to be there:
//
//   memory_limit: 1GiB
//   queues:
//     - name: orders
//       attributes:                       # AWS names, as in proto/barista/v1/queue.proto
//         VisibilityTimeout: 60
//         RedrivePolicy: {deadLetterQueue: orders-dead, maxReceiveCount: 5}
//       tags: {team: bar}
//     - name: orders-dead
//
// RedrivePolicy may also be the JSON that AWS has, or the mapping with deadLetterTargetArn; empty
// text removes one.
struct SettingsFile {
  static constexpr size_t kMaxBytes = 4 << 20;
  // So many errors are told of a file; then it says that there are more.
  static constexpr size_t kMaxErrors = 20;

  struct Entry {
    std::string value;
    std::string where;  // "barista.yaml:3"
  };
  std::map<std::string, Entry> settings;  // by Setting::name; values are not checked
  std::vector<QueueDefinition> queues;    // each checked by itself
};

// Reads the file at `path`, and adds what is wrong with it to `errors`: it cannot be read, is
// larger than kMaxBytes or no YAML, a key is not known or given twice, there are too many queues,
// or an attribute or a tag of one is none. Each error names path and line, and of a queue its name,
// the attribute, the value and the limit. Blocks. Its time is bounded by the size of the file,
// aliases or not: nothing is looked at deeper than it may be, and no list beyond its limit.
SettingsFile ReadSettingsFile(const std::string& path, std::vector<std::string>* errors);

}  // namespace barista::server

#endif  // BROKER_SERVER_SETTINGS_FILE_H_
