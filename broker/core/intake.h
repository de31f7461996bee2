#ifndef BARISTA_BROKER_CORE_INTAKE_H_
#define BARISTA_BROKER_CORE_INTAKE_H_

#include <atomic>

#include "broker/core/atomics.h"

namespace barista::core {

// Many producers push nodes, one consumer at a time takes all that is there, in the order pushed.
// Lock-free: a push is one compare-and-swap, a drain one exchange. T has a member `T*
// next_in_intake` that belongs to the intake between Push and Drain. The nodes are not owned.
//
// A consumer that sleeps tells so in a variable of its own, and producers look at it after they
// pushed. Two ways to do that lose no wake-up, with head_ as follows:
//
//   by a look    consumer: store the flag (seq_cst), then empty()
//                producer: Push, then load the flag (seq_cst)
//   by a drain   consumer: store the flag (relaxed), then Drain()
//                producer: Push, then load the flag (relaxed)
//
// head_: written by Push (seq_cst) and Drain (acq_rel), read by empty() (seq_cst). A push releases
// the node's content to the drain that takes it (acquire). By a look: in the single total order
// either the push comes before the look, which finds the node, or the flag's store before its load;
// with acquire/release both could miss each other and the node would lie there. By a drain: either
// the drain takes the node, or the push comes behind the drain and acquires what it released, the
// flag.
//
// Do not use it where consumers compete or where a producer must be held back: it is unbounded.
template <typename T, typename A = StdAtomics>
class BasicIntake {
 public:
  // True if the intake was empty: the consumer may have to be woken.
  bool Push(T* node) {
    T* head = head_.load(std::memory_order_relaxed);
    do {
      node->next_in_intake = head;
    } while (!head_.compare_exchange_weak(head, node, std::memory_order_seq_cst,
                                          std::memory_order_relaxed));
    return head == nullptr;
  }

  // Everything pushed so far as a list in push order; nullptr if there is nothing.
  T* Drain() {
    T* node = head_.exchange(nullptr, std::memory_order_acq_rel);
    T* first = nullptr;
    while (node != nullptr) {
      T* next = node->next_in_intake;
      node->next_in_intake = first;
      first = node;
      node = next;
    }
    return first;
  }

  bool empty() const { return head_.load(std::memory_order_seq_cst) == nullptr; }

 private:
  typename A::template Atomic<T*> head_{nullptr};
};

template <typename T>
using Intake = BasicIntake<T>;

}  // namespace barista::core

#endif  // BARISTA_BROKER_CORE_INTAKE_H_
