#ifndef BARISTA_BROKER_CORE_TIMER_NODE_H_
#define BARISTA_BROKER_CORE_TIMER_NODE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>

namespace barista::core {

inline constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

// Something to do at a monotonic time (ns). One node per call that sets a deadline, not one per
// message.
class TimerNode {
 public:
  virtual ~TimerNode() = default;
  // Runs at or after the deadline, never before, on the thread that runs the timer and without a
  // lock of the timer. Returns the next deadline, or kNever to be destroyed.
  virtual int64_t Fire(int64_t now_ns) = 0;
  // Whether firing has become pointless. Called by whoever runs the timer, under its lock: it must
  // not arm. A dead node stays dead.
  virtual bool Dead() const = 0;

 private:
  template <typename T, typename A>
  friend class BasicIntake;
  friend class Timer;
  friend class TimerList;
  friend class TimerWheel;

  int64_t deadline_ns_ = 0;
  // The next in whatever list the node is in: of the intake, a slot, or what is due.
  TimerNode* next_in_intake = nullptr;
};

// Owns nodes, first in first out. They are linked through themselves: nothing is allocated.
// Thread-compatible.
//
// The nodes of a long list lie anywhere, and following one chain would wait for the memory at each.
// So there are several, which take turns: while one node is used the next ones are on their way.
// (With four, firing one node among a million costs a third of what it does with one.)
class TimerList {
 public:
  TimerList() = default;
  TimerList(TimerList&& other) noexcept
      : front_(std::exchange(other.front_, 0)),
        back_(std::exchange(other.back_, 0)),
        chains_(std::exchange(other.chains_, {})) {}
  TimerList& operator=(TimerList&& other) = delete;  // Append
  ~TimerList() {
    while (PopFront() != nullptr) {
    }
  }

  bool empty() const { return chains_[front_].first == nullptr; }

  void Append(std::unique_ptr<TimerNode> owned) {
    TimerNode* const node = owned.release();
    node->next_in_intake = nullptr;
    chains_[back_].Append({node, node});
    back_ = (back_ + 1) % kChains;
  }

  void Append(TimerList&& list) {
    for (size_t i = 0; i < kChains; ++i) {
      Chain& chain = list.chains_[(list.front_ + i) % kChains];
      if (chain.first == nullptr) break;
      chains_[(back_ + i) % kChains].Append(std::exchange(chain, Chain()));
    }
    back_ = (back_ + list.back_ - list.front_ + kChains) % kChains;
    list.front_ = list.back_ = 0;
  }

  // nullptr if there is none.
  std::unique_ptr<TimerNode> PopFront() {
    Chain& chain = chains_[front_];
    TimerNode* const node = chain.first;
    if (node != nullptr) {
      chain.first = node->next_in_intake;
      __builtin_prefetch(chain.first);
      front_ = (front_ + 1) % kChains;
    }
    return std::unique_ptr<TimerNode>(node);
  }

  // Before a number of PopFronts.
  void Prefetch() const {
    for (const Chain& chain : chains_) __builtin_prefetch(chain.first);
  }

 private:
  struct Chain {
    void Append(Chain other) {
      (first == nullptr ? first : last->next_in_intake) = other.first;
      last = other.last;
    }
    TimerNode* first = nullptr;
    TimerNode* last = nullptr;  // if there is a first
  };
  static constexpr size_t kChains = 4;

  // The chains of the first node, and of the next to come.
  size_t front_ = 0;
  size_t back_ = 0;
  std::array<Chain, kChains> chains_;
};

}  // namespace barista::core

#endif  // BARISTA_BROKER_CORE_TIMER_NODE_H_
