#ifndef BROKER_SERVER_STRAND_H_
#define BROKER_SERVER_STRAND_H_

#include <mutex>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"

namespace barista::server {

// Runs what is posted one after the other, in the order of the posts, on the threads that post: the
// state that only posted functions touch needs no lock. A function that posts does not wait for
// what it posts. Thread-safe; outlives its Post calls.
class Strand {
 public:
  using Event = absl::AnyInvocable<void()>;

  // `turn` runs, as an event, whenever those that were waiting have run: what follows from several
  // events is done once.
  explicit Strand(Event turn) : turn_(std::move(turn)) {}

  // Runs `event` before it returns, unless another thread (or this one, further down its stack) is
  // running events of the strand: that one runs it then.
  void Post(Event event) { Post(std::move(event), nullptr); }
  // The same for a thread that has other things to do (a committer's, a timer's): if events have
  // come meanwhile, `hand_over` gets the running of them, to call on another thread. It answers
  // false if it cannot.
  using HandOver = absl::AnyInvocable<bool(Event run)>;
  void PostBriefly(Event event, HandOver hand_over) { Post(std::move(event), &hand_over); }

  // Within an event: whether others have been posted since.
  bool HasWaiting() const;

 private:
  void Post(Event event, HandOver* hand_over);
  // By the thread that runs, until nothing waits.
  void Run(HandOver* hand_over);

  Event turn_;  // of the thread that runs, as batch_
  std::vector<Event> batch_;
  mutable std::mutex mutex_;
  bool running_ = false;        // guarded by mutex_
  std::vector<Event> waiting_;  // guarded by mutex_
};

}  // namespace barista::server

#endif  // BROKER_SERVER_STRAND_H_
