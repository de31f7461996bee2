#ifndef BARISTA_TESTS_STORAGE_ROW_LEDGER_H_
#define BARISTA_TESTS_STORAGE_ROW_LEDGER_H_

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "gtest/gtest.h"
#include "storage/batch_translator.h"
#include "storage/keys.h"

namespace barista::storage {

// Rows in maps, in place of a database, that insist on the discipline of SingleDelete: a key of
// `messages` is put once, and removed at most once, while it is there.
class RowLedger : public RowSink, public RowReader {
 public:
  using Rows = std::map<std::string, std::string>;

  const Rows& rows(Family family) const { return rows_.at(static_cast<size_t>(family)); }
  int puts(Family family) const { return puts_[static_cast<size_t>(family)]; }

  void Put(Family family, absl::string_view key, absl::string_view value) override {
    EXPECT_NE(family, Family::kMessages);
    Of(family)[std::string(key)] = std::string(value);
    ++puts_[static_cast<size_t>(family)];
  }
  void Delete(Family family, absl::string_view key) override {
    EXPECT_NE(family, Family::kMessages);
    Of(family).erase(std::string(key));
  }
  void PutRun(absl::string_view key, absl::Span<const absl::string_view> parts) override {
    std::string value;
    for (absl::string_view part : parts) value.append(part.data(), part.size());
    EXPECT_TRUE(ever_put_.insert(std::string(key)).second) << "a key of messages is put twice";
    Of(Family::kMessages)[std::string(key)] = value;
    ++puts_[static_cast<size_t>(Family::kMessages)];
  }
  void RemoveRun(absl::string_view key) override {
    EXPECT_EQ(Of(Family::kMessages).erase(std::string(key)), 1u)
        << "a key of messages is removed that is not there";
  }
  void DeleteRange(Family family, absl::string_view begin, absl::string_view end) override {
    Rows& rows = Of(family);
    rows.erase(rows.lower_bound(std::string(begin)), rows.lower_bound(std::string(end)));
  }

  absl::StatusOr<std::optional<RunState>> ReadState(QueueId queue, Sequence first) const override {
    ++state_reads;
    const Rows& states = rows(Family::kState);
    const auto it = states.find(std::string(Key::Message(queue, first).view()));
    if (it == states.end()) return std::nullopt;
    absl::StatusOr<RunState> state = DecodeRunState(it->second);
    if (!state.ok()) return state.status();
    return *std::move(state);
  }
  absl::StatusOr<std::optional<Run>> FindRun(QueueId queue, Sequence sequence) const override {
    const Rows& runs = rows(Family::kMessages);
    auto it = runs.upper_bound(std::string(Key::Message(queue, sequence).view()));
    if (it == runs.begin()) return std::nullopt;
    --it;
    Run run;
    QueueId found;
    if (!ParseMessageKey(it->first, &found, &run.first) || found != queue) return std::nullopt;
    run.count = RunView::Parse(it->second).value().count();
    if (run.first.value() + static_cast<uint64_t>(run.count) <= sequence.value())
      return std::nullopt;
    return run;
  }

  mutable int state_reads = 0;

 private:
  Rows& Of(Family family) { return rows_[static_cast<size_t>(family)]; }

  std::array<Rows, 5> rows_;
  std::array<int, 5> puts_{};
  std::set<std::string> ever_put_;
};

}  // namespace barista::storage

#endif  // BARISTA_TESTS_STORAGE_ROW_LEDGER_H_
