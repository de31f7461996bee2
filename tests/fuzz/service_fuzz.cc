// What clients may do to a server: scripts of calls of every method, with requests that are nearly
// right, and bytes that are none. See ServicePlayer for what must hold.
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "tests/fuzz/message_mutator.h"
#include "tests/fuzz/service_player.h"
#include "tests/fuzz/service_script.pb.h"

// libFuzzer's own changes of bytes.
extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace barista::fuzz {
namespace {

constexpr int kMaxSteps = 12;

const MessageMutator::Words& Words() {
  static const std::vector<std::string> kAttributes = {"VisibilityTimeout",
                                                       "DelaySeconds",
                                                       "MessageRetentionPeriod",
                                                       "ReceiveMessageWaitTimeSeconds",
                                                       "MaximumMessageSize",
                                                       "RedrivePolicy",
                                                       "Durability",
                                                       "BodyCharset",
                                                       "MaximumInFlightMessages",
                                                       "QueueArn",
                                                       "FifoQueue"};
  static const std::vector<std::string> kValues = {
      "0",
      "1",
      "-1",
      "30",
      "60",
      "900",
      "901",
      "1024",
      "43200",
      "43201",
      "1048576",
      "1048577",
      "1209600",
      "1209601",
      "fsync",
      "os",
      "memory",
      "text",
      "binary",
      "",
      " 1",
      "1e3",
      "99999999999999999999",
      R"({"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":1})",
      R"({"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:a","maxReceiveCount":"1000"})",
      R"({"maxReceiveCount":1})",
      "{",
      "[[[["};
  static const auto* const kWords = new MessageMutator::Words{
      {"queue", {"a", "a", "a", "b", "dead", "", "a.fifo", "no such", std::string(80, 'q')}},
      {"prefix", {"", "a", "b", "zz"}},
      {"next_token", {"", "a", "b"}},
      {"tag_keys", {"team", "", "aws:x"}},
      {"CreateQueueRequest.AttributesEntry.key", kAttributes},
      {"CreateQueueRequest.AttributesEntry.value", kValues},
      {"SetQueueAttributesRequest.AttributesEntry.key", kAttributes},
      {"SetQueueAttributesRequest.AttributesEntry.value", kValues},
      {"CreateQueueRequest.TagsEntry.key", {"team", "", "aws:x"}},
      {"TagQueueRequest.TagsEntry.key", {"team", "", "aws:x"}},
      {"SendMessageEntry.AttributesEntry.key",
       {"table", "AWS.x", "amazon.y", ".a", "a..b", "a.", "traceparent", "tracestate", ""}},
      {"data_type", {"String", "Number", "Binary", "Number.int", "String.", "string", "", "Xml"}},
      {"string_value", {"7", "-1.5e10", "1e999", "00-0-0-0", "text", "", "\x01", "\xed\xa0\x80"}},
      {"binary_value", {std::string("\0\xff", 2), ""}},
      {"body", {"espresso", "\x01", "\xff\xfe", "", "\xef\xbf\xbe", std::string(5000, 'b')}},
      {"group_id", {"g", "", "\x7f", std::string(129, 'g')}},
      {"dedup_id", {"d", ""}},
      {"trace_header", {"Root=1-0-0", "", std::string(1025, 't')}},
      {"receipt_handles", {"$0", "$1", "$2", "$3", "", "AAAA"}},
      {"receipt_handle", {"$0", "$1", "$2", "$3", "", "AAAA"}},
      {"directory", {"/no/such/directory", "relative", "", "/", "/dev/null"}},
  };
  return *kWords;
}

std::string MutateBytes(const std::string& bytes, size_t max_bytes) {
  std::string changed = bytes.substr(0, max_bytes);
  const size_t size = changed.size();
  changed.resize(std::min(max_bytes, size + 64));
  changed.resize(
      LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(changed.data()), size, changed.size()));
  return changed;
}

bool Parse(const uint8_t* data, size_t size, Script* script) {
  class Silent final : public google::protobuf::io::ErrorCollector {
    void AddError(int, google::protobuf::io::ColumnNumber, const std::string&) override {}
  };
  Silent silent;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&silent);
  return parser.ParseFromString(std::string(reinterpret_cast<const char*>(data), size), script);
}

// Writes the script as text; 0 if there is no room.
size_t Print(const Script& script, uint8_t* data, size_t max_size) {
  std::string text;
  google::protobuf::TextFormat::PrintToString(script, &text);
  if (text.size() > max_size) return 0;
  std::memcpy(data, text.data(), text.size());
  return text.size();
}

void Trim(Script* script) {
  while (script->steps_size() > kMaxSteps) script->mutable_steps()->RemoveLast();
}

}  // namespace
}  // namespace barista::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using barista::fuzz::ServicePlayer;
  // Ended before the libraries that it uses are, which are older.
  static ServicePlayer* const player = [] {
    static ServicePlayer* made = new ServicePlayer;
    std::atexit([] { delete made; });
    return made;
  }();
  barista::fuzz::Script script;
  if (barista::fuzz::Parse(data, size, &script)) player->Play(script);
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  using namespace barista::fuzz;
  Script script;
  Parse(data, size, &script);
  MessageMutator mutator(seed, Words(), MutateBytes);
  for (unsigned i = 0; i <= seed % 4; ++i) mutator.Mutate(&script);
  Trim(&script);
  const size_t printed = Print(script, data, max_size);
  return printed != 0 ? printed : size;
}

extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* left, size_t left_size,
                                            const uint8_t* right, size_t right_size, uint8_t* out,
                                            size_t max_size, unsigned seed) {
  using namespace barista::fuzz;
  Script script, other;
  if (!Parse(left, left_size, &script) || !Parse(right, right_size, &other)) return 0;
  std::mt19937 random(seed);
  const int kept = script.steps_size() > 0 ? static_cast<int>(random() % script.steps_size()) : 0;
  while (script.steps_size() > kept) script.mutable_steps()->RemoveLast();
  const int from = other.steps_size() > 0 ? static_cast<int>(random() % other.steps_size()) : 0;
  for (int i = from; i < other.steps_size(); ++i) *script.add_steps() = other.steps(i);
  Trim(&script);
  return Print(script, out, max_size);
}
