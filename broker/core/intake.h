#ifndef BARISTA_BROKER_CORE_INTAKE_H_
#define BARISTA_BROKER_CORE_INTAKE_H_

#include <atomic>

namespace barista::core {

// Many producers push nodes, one consumer at a time takes all that is there, in the order pushed.
// Lock-free: a push is one compare-and-swap, a drain one exchange. T has a member `T*
// next_in_intake` that belongs to the intake between Push and Drain. The nodes are not owned.
//
// Do not use it where consumers compete or where a producer must be held back: it is unbounded.
template <typename T>
class Intake {
 public:
  // True if the intake was empty: the consumer may have to be woken.
  bool Push(T* node) {
    // head_: written by Push (seq_cst) and Drain (seq_cst), read by empty() (seq_cst). A push
    // releases the node's content to the drain that takes it. The single total order is what lets a
    // producer that found the consumer's sleeping flag unset rely on being seen by the consumer's
    // look after setting it: with acquire/release both could miss each other and the node would lie
    // there.
    T* head = head_.load(std::memory_order_relaxed);
    do {
      node->next_in_intake = head;
    } while (!head_.compare_exchange_weak(head, node, std::memory_order_seq_cst,
                                          std::memory_order_relaxed));
    return head == nullptr;
  }

  // Everything pushed so far as a list in push order; nullptr if there is nothing.
  T* Drain() {
    T* node = head_.exchange(nullptr, std::memory_order_seq_cst);
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
  std::atomic<T*> head_{nullptr};
};

}  // namespace barista::core

#endif  // BARISTA_BROKER_CORE_INTAKE_H_
