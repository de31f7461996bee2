#ifndef TESTS_FUZZ_MESSAGE_MUTATOR_H_
#define TESTS_FUZZ_MESSAGE_MUTATOR_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace barista::fuzz {

// Changes protobuf messages at random so that they stay messages of their type: what bytes that are
// flipped blindly hardly ever do. Knows words by field, since a name that nobody uses is soon
// refused. Thread-compatible; the same seed and messages give the same changes.
class MessageMutator {
 public:
  // Words by the name of a field, or of an entry of a map: "QueueAttributes.key".
  using Words = std::map<std::string, std::vector<std::string>>;
  // Changes bytes at random, to at most `max_bytes`.
  using MutateBytes = std::function<std::string(const std::string& bytes, size_t max_bytes)>;

  // `words` outlive it.
  MessageMutator(uint64_t seed, const Words& words, MutateBytes mutate_bytes)
      : random_(seed), words_(words), mutate_bytes_(std::move(mutate_bytes)) {}

  // Adds, removes, copies, swaps or changes one field or element, anywhere in `message`.
  void Mutate(google::protobuf::Message* message);

 private:
  using Message = google::protobuf::Message;
  using Field = google::protobuf::FieldDescriptor;

  enum class Kind { kAdd, kRemove, kCopy, kSwap, kChange };
  // Something that can be changed. `index` is that of an element; kWhole: the field.
  struct Site {
    Message* message;
    const Field* field;
    int index;
    Kind kind;
  };
  static constexpr int kWhole = -1;
  static constexpr int kMaxElements = 12;
  static constexpr int kMaxDepth = 6;

  void Collect(Message* message, int depth, std::vector<Site>* sites) const;
  void Apply(const Site& site);
  void Add(Message* message, const Field& field, int depth);
  // Sets fields of an empty message.
  void Fill(Message* message, int depth);
  // Gives a scalar a value: a new one, or a change of `index`'s.
  void Set(Message* message, const Field& field, int index);
  std::string Text(const Field& field, const std::string& old);
  template <typename T>
  T Number(T old);

  bool OneIn(unsigned n) { return random_() % n == 0; }
  template <typename List>
  const auto& AnyOf(const List& list) {
    return list[random_() % std::size(list)];
  }

  std::mt19937_64 random_;
  const Words& words_;
  const MutateBytes mutate_bytes_;
};

}  // namespace barista::fuzz

#endif  // TESTS_FUZZ_MESSAGE_MUTATOR_H_
