#include "tests/model/weakenings.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>

namespace barista::model {
namespace {

std::string FirstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

void ExpectAllHold(const std::vector<NamedCase>& cases) {
  for (const NamedCase& c : cases) {
    const auto begin = std::chrono::steady_clock::now();
    const Outcome outcome = Explore({}, c.set_up);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    EXPECT_TRUE(outcome.ok()) << c.name << ": "
                              << (outcome.failure.empty() ? "too many schedules" : outcome.failure);
    std::printf("%10lld executions (%lld) %6.2f s  %s\n",
                static_cast<long long>(outcome.executions),
                static_cast<long long>(outcome.redundant), took.count(), c.name.c_str());
    std::fflush(stdout);
  }
}

void ExpectEachOrderNeeded(const std::vector<NamedCase>& cases, const std::string& file) {
  std::map<Site, std::memory_order> sites;
  // The shortest first: most weakenings show in them.
  std::multimap<int64_t, const NamedCase*> by_length;
  for (const NamedCase& c : cases) {
    const Outcome outcome = Explore({}, c.set_up);
    sites.insert(outcome.sites.begin(), outcome.sites.end());
    by_length.insert({outcome.executions, &c});
  }
  for (const Weakening& weakening : Weakenings(sites)) {
    const std::string name = weakening.site.ToString() + " " + OrderName(weakening.from) + " -> " +
                             OrderName(weakening.to);
    if (name.compare(0, file.size(), file) != 0) continue;
    std::string noticed;
    for (const auto& [executions, c] : by_length) {
      Options options;
      options.weakening = &weakening;
      const Outcome outcome = Explore(options, c->set_up);
      if (!outcome.failure.empty()) {
        noticed = c->name + ": " + FirstLine(outcome.failure);
        break;
      }
    }
    EXPECT_FALSE(noticed.empty()) << "no case needs " << name;
    std::printf("%-60s %s\n", name.c_str(), noticed.empty() ? "NOT NOTICED" : noticed.c_str());
  }
}

}  // namespace barista::model
