#include "tests/model/weakenings.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace barista::model {
namespace {

// Of one case. The bounded part is to end soon, whatever happens.
constexpr int64_t kMaxExecutions = 2'000'000;
constexpr int64_t kMaxExecutionsOfWhole = 1'000'000'000;

std::string FirstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

Options Limited(bool whole) {
  Options options;
  options.max_executions = whole ? kMaxExecutionsOfWhole : kMaxExecutions;
  return options;
}

// Adds a row to the table that is asked for. The first of a process begins it.
void AddToTable(const Weakening& weakening, const std::string& case_name,
                const std::string& failure) {
  static std::FILE* const table = []() -> std::FILE* {
    const char* const path = std::getenv("BARISTA_MODEL_TABLE");
    if (path == nullptr) return nullptr;
    std::FILE* const file = std::fopen(path, "w");
    EXPECT_NE(file, nullptr) << "BARISTA_MODEL_TABLE: cannot write " << path;
    if (file != nullptr) {
      std::fputs(
          "| Where | Weakened | Noticed by the case | which then says |\n|---|---|---|---|\n",
          file);
    }
    return file;
  }();
  if (table == nullptr) return;
  std::fprintf(table, "| `%s` | %s → %s | %s | %s |\n", weakening.site.ToString().c_str(),
               OrderName(weakening.from).c_str(), OrderName(weakening.to).c_str(),
               case_name.c_str(), failure.c_str());
  std::fflush(table);
}

}  // namespace

bool RunsTheWhole() {
  const char* const part = std::getenv("BARISTA_MODEL");
  if (part == nullptr || *part == '\0') return false;
  EXPECT_STREQ(part, "whole") << "BARISTA_MODEL; allowed: whole";
  return true;
}

void ExpectAllHold(const std::vector<NamedCase>& cases) {
  int left_out = 0;
  for (const NamedCase& c : cases) {
    if (c.whole && !RunsTheWhole()) {
      ++left_out;
      continue;
    }
    const auto begin = std::chrono::steady_clock::now();
    const Outcome outcome = Explore(Limited(c.whole), c.set_up);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    const bool cut = outcome.failure.empty() && !outcome.complete;
    EXPECT_TRUE(outcome.ok()) << c.name << ": "
                              << (cut ? "not proven, too many schedules" : outcome.failure);
    std::printf("%10lld executions (%lld) %6.2f s  %s%s\n",
                static_cast<long long>(outcome.executions),
                static_cast<long long>(outcome.redundant), took.count(), c.name.c_str(),
                cut ? ": NOT PROVEN" : "");
    std::fflush(stdout);
  }
  if (left_out > 0) std::printf("%d more with BARISTA_MODEL=whole\n", left_out);
}

void ExpectEachOrderNeeded(const std::vector<NamedCase>& cases, const std::string& file) {
  std::map<Site, std::memory_order> sites;
  // The shortest first: most weakenings show in them.
  std::multimap<int64_t, const NamedCase*> by_length;
  for (const NamedCase& c : cases) {
    if (c.whole) continue;
    const Outcome outcome = Explore(Limited(c.whole), c.set_up);
    sites.insert(outcome.sites.begin(), outcome.sites.end());
    by_length.insert({outcome.executions, &c});
  }
  for (const Weakening& weakening : Weakenings(sites)) {
    const std::string name = weakening.site.ToString() + " " + OrderName(weakening.from) + " -> " +
                             OrderName(weakening.to);
    if (name.compare(0, file.size(), file) != 0) continue;
    std::string noticed;
    for (const auto& [executions, c] : by_length) {
      Options options = Limited(c->whole);
      options.weakening = &weakening;
      const Outcome outcome = Explore(options, c->set_up);
      if (outcome.failure.empty()) continue;
      noticed = c->name + ": " + FirstLine(outcome.failure);
      AddToTable(weakening, c->name, FirstLine(outcome.failure));
      break;
    }
    EXPECT_FALSE(noticed.empty()) << "no case needs " << name;
    std::printf("%-60s %s\n", name.c_str(), noticed.empty() ? "NOT NOTICED" : noticed.c_str());
  }
}

}  // namespace barista::model
