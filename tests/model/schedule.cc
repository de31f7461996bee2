#include "tests/model/schedule.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace barista::model::internal {
namespace {

int Lowest(Threads threads) { return __builtin_ctz(threads); }

}  // namespace

void Schedule::Begin() {
  depth_ = 0;
  repeated_ = decisions_.size();
  redundant_ = false;
  asleep_ = failures_asleep_ = 0;
  clocks_ = {};
  events_.clear();
}

int Schedule::ChooseThread(Threads ready) {
  if (redundant_) return Lowest(ready);
  if (depth_ == decisions_.size()) {
    const Threads awake = ready & ~asleep_;
    if (awake == 0) {
      redundant_ = true;
      return Lowest(ready);
    }
    Decision decision;
    decision.ready = ready;
    decision.asleep = asleep_;
    decision.failures_asleep = failures_asleep_;
    const Threads wide_awake = awake & ~failures_asleep_;
    decision.thread = Lowest(wide_awake != 0 ? wide_awake : awake);
    decision.wanted = !reduce_ ? ready : Only(decision.thread);
    decisions_.push_back(decision);
  }
  decision_ = depth_++;
  const Decision& decision = decisions_[decision_];
  if (decision.thread == 0 || decision.ready != ready) {
    std::fprintf(stderr, "the case is not deterministic\n");
    std::abort();
  }
  if (reduce_) {
    asleep_ = decision.asleep | decision.tried;
    failures_asleep_ = decision.failures_asleep & ~asleep_;
  }
  thread_ = decision.thread;
  failure_sleeps_ = (failures_asleep_ & Only(thread_)) != 0;
  failures_asleep_ &= ~Only(thread_);
  return thread_;
}

std::optional<Place> Schedule::Unknown(int location, bool seq_cst) const {
  const std::vector<size_t>& trace = traces_[static_cast<size_t>(location)];
  if (!reduce_ || trace.empty()) return std::nullopt;
  const Event& last = events_[trace.front()];
  if (!last.step.writes || Before(last, clocks_[static_cast<size_t>(thread_)])) return std::nullopt;
  if (seq_cst && std::any_of(trace.begin(), trace.end(),
                             [this](size_t e) { return events_[e].step.seq_cst; })) {
    return std::nullopt;
  }
  return last.step.place;
}

size_t Schedule::Choose(size_t count) {
  if (count == 1 || redundant_) return 0;
  if (depth_ == decisions_.size()) {
    Decision decision;
    decision.count = static_cast<uint32_t>(count);
    decisions_.push_back(decision);
  }
  const Decision& decision = decisions_[depth_++];
  if (decision.count != count) {
    std::fprintf(stderr, "the case is not deterministic\n");
    std::abort();
  }
  return decision.at;
}

void Schedule::Refuse(const Step& step) {
  if (redundant_) return;
  Add(step);
  // The others may go on without it.
  Decision& decision = decisions_[decision_];
  decision.wanted = decision.ready;
  redundant_ = true;
}

void Schedule::Done(const Step& step) {
  if (redundant_ || !reduce_) return;
  Add(step);
  Wake(step);
}

void Schedule::Wakes(int thread) {
  if (redundant_ || !reduce_) return;
  Clock& clock = clocks_[static_cast<size_t>(thread)];
  for (size_t t = 0; t < clock.size(); ++t) clock[t] = std::max(clock[t], events_.back().clock[t]);
}

void Schedule::Add(const Step& step) {
  std::vector<size_t>& trace = traces_[static_cast<size_t>(step.location)];
  Clock& known = clocks_[static_cast<size_t>(thread_)];
  Clock clock = known;
  std::array<size_t, kMaxThreads * 4> races;
  size_t race_count = 0;
  for (size_t i = trace.size(); i-- > 0;) {
    const Event& other = events_[trace[i]];
    if (!Depend(other.step, step)) continue;
    // Later ones of the trace that depend on it are in the clock already.
    if (!Before(other, clock)) {
      if (race_count == races.size()) std::abort();  // no small case
      races[race_count++] = trace[i];
    }
    for (size_t t = 0; t < clock.size(); ++t) clock[t] = std::max(clock[t], other.clock[t]);
  }
  const size_t event = events_.size();
  const uint16_t number = ++clock[static_cast<size_t>(thread_)];
  known = clock;
  events_.push_back({step, thread_, number, decision_, clock});
  // What was done up to here in an execution before this one has had its races looked at.
  if (depth_ >= repeated_) {
    while (race_count > 0) Reverse(races[--race_count]);
  }
  if (step.writes) trace.clear();
  trace.push_back(event);
}

void Schedule::Reverse(size_t event) {
  const Event& early = events_[event];
  const Event& late = events_.back();
  // All behind the early one that does not depend on it, and the late one: who can begin with that?
  std::array<const Event*, kMaxThreads> first{};
  Threads begin = 0;
  for (size_t i = event + 1; i < events_.size(); ++i) {
    const Event& e = events_[i];
    if (first[static_cast<size_t>(e.thread)] != nullptr) continue;
    if (Before(early, e.clock) && &e != &late) continue;
    const bool follows = std::any_of(first.begin(), first.end(), [&e](const Event* other) {
      return other != nullptr && Before(*other, e.clock);
    });
    first[static_cast<size_t>(e.thread)] = &e;
    if (!follows) begin |= Only(e.thread);
  }
  Decision& decision = decisions_[early.decision];
  if ((begin & (decision.wanted | decision.asleep)) != 0) return;
  begin &= decision.ready;
  if ((begin & Only(late.thread)) != 0) {
    decision.wanted |= Only(late.thread);
  } else {
    decision.wanted |= begin != 0 ? Only(Lowest(begin)) : decision.ready;
  }
}

void Schedule::Wake(const Step& step) {
  for (int t = 1; t < kMaxThreads; ++t) {
    if (((asleep_ | failures_asleep_) & Only(t)) == 0) continue;
    const Operation& next = next_[static_cast<size_t>(t)];
    if (next.location != step.location) continue;
    if (step.writes || (step.seq_cst && next.seq_cst)) {
      asleep_ &= ~Only(t);
      failures_asleep_ &= ~Only(t);
    } else if (next.kind != Kind::kLoad && (asleep_ & Only(t)) != 0) {
      asleep_ &= ~Only(t);
      if (next.kind == Kind::kCompare) failures_asleep_ |= Only(t);
    }
  }
}

bool Schedule::Advance() {
  while (!decisions_.empty()) {
    Decision& decision = decisions_.back();
    if (decision.thread == 0) {
      if (++decision.at < decision.count) return true;
    } else {
      decision.tried |= Only(decision.thread);
      const Threads open = decision.wanted & ~decision.tried & ~decision.asleep;
      if (open != 0) {
        decision.thread = Lowest(open);
        return true;
      }
    }
    decisions_.pop_back();
  }
  return false;
}

}  // namespace barista::model::internal
