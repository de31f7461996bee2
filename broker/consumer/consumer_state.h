#ifndef BARISTA_BROKER_CONSUMER_CONSUMER_STATE_H_
#define BARISTA_BROKER_CONSUMER_CONSUMER_STATE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "barista/consumer.h"
#include "broker/base/mutex.h"

namespace barista::internal {

// kInvalidArgument/InvalidParameterValue unless every option is in its range. A timeout that is not
// given is not looked at.
absl::Status ValidateConsume(const ConsumeOptions& options);

// What a Consumer refers to: what has been delivered and not been settled, and what has been asked
// and not been done. How messages come and where requests go is the derived class's. Thread-safe;
// contracts as in barista/consumer.h.
//
// A delivery is READY until it is taken by Next, then OPEN until it is deleted or released; both
// count against the credit. A request waits in `deletes_` or `changes_`; of each list a derived
// class has one part under way at a time, so requests of one kind are settled in the order in which
// they were asked, and Flush waits for a count.
class ConsumerState : public std::enable_shared_from_this<ConsumerState> {
 public:
  explicit ConsumerState(int credit) : credit_(static_cast<size_t>(credit)) {}
  virtual ~ConsumerState() = default;
  ConsumerState(const ConsumerState&) = delete;
  ConsumerState& operator=(const ConsumerState&) = delete;

  absl::StatusOr<std::optional<ReceivedMessage>> Next(absl::Duration wait);
  absl::Status Delete(const ReceivedMessage& message);
  absl::Status Release(const ReceivedMessage& message, absl::Duration delay);
  absl::Status Extend(const ReceivedMessage& message, absl::Duration visibility_timeout);
  absl::Status Flush(absl::Duration timeout);
  void Stop();
  absl::Status Close();
  // Close without waiting; nobody calls the methods above any more.
  void LetGo();
  absl::Status status() const;

  // Ends it from outside: nothing is asked of the broker any more.
  void End(const absl::Status& error);

 protected:
  // A delivery that is ready or open.
  struct Delivery {
    uint64_t number = 0;
    MessageId message_id;
    ReceiptHandle receipt_handle;
  };
  // A release, or an extension.
  struct Change {
    Delivery delivery;
    absl::Duration timeout;
    bool extension = false;
    bool quiet = false;  // of the consumer itself: nobody is told of a failure
  };
  // A blocking form that has begun to wait.
  struct Waiting {
    explicit Waiting(absl::Duration l) : limit(l) {}
    ~Waiting() {
      if (over != nullptr) over->store(true);
    }
    const absl::Duration limit;
    // The derived class's: when it is over, by the clock that it looks at; and whether it is.
    std::optional<absl::Duration> until;
    std::shared_ptr<std::atomic<bool>> over;
  };

  // Something has changed: what there is to ask is asked now. Without the lock; from any thread,
  // also inside of callbacks, never blocks.
  virtual void Attend() = 0;
  // Waits until `changed` is notified or the limit has passed; false: it has passed. May return
  // early.
  virtual bool WaitForChange(Waiting* waiting, CondVar* changed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) = 0;
  // Of one that is closing, with all settled: whether nothing of it is left with the broker.
  virtual bool IsClosed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) = 0;

  // ---- For the derived class ----

  // Numbers `messages` and makes them ready; of one that is stopped they go back.
  void Arrive(std::vector<ReceivedMessage> messages) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // How many more messages to ask for, beside `coming` ones for which there is no room any more:
  // all that there is room for, but 0 while something is ready and it is less than half of the
  // credit.
  size_t Wanted(size_t coming) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The next of what is to be asked, up to `max`.
  std::vector<Delivery> TakeDeletes(size_t max) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Extensions of deliveries that are not open any more are left out; `*taken` counts them too.
  std::vector<Change> TakeChanges(size_t max, uint64_t* taken)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What nobody takes any more, to be given back to the queue; or asks for its release.
  std::vector<Delivery> TakeUntaken() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReleaseUntaken() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What is ready or open.
  std::vector<Delivery> Open() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Asks for the release of what is open.
  void ReleaseOpen() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // So many more of what was taken are settled.
  void SettledDeletes(uint64_t count) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SettledChanges(uint64_t count) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What was asked for the message failed.
  void Failed(const MessageId& message, const absl::Status& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The first error counts. What is ready is dropped; what is open stays, for the derived class to
  // release if it can.
  void EndLocked(const absl::Status& error) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool AllSettled() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return deletes_settled_ == deletes_asked_ && changes_settled_ == changes_asked_;
  }
  bool stopped() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopped_; }
  bool closing() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return closing_; }
  bool ended() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !ended_.ok(); }
  // Of the message that arrives next.
  uint64_t next_number() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return next_number_; }
  size_t open() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return open_.size(); }
  size_t pending() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return deletes_.size() + changes_.size();
  }
  int64_t ready_bytes() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return ready_bytes_; }
  // Changes that were notified. One that looked at it, let go of the lock and finds it the same has
  // missed nothing.
  uint64_t changes_seen() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return notified_; }
  void NotifyAll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;

 private:
  struct OpenDelivery {
    MessageId message_id;
    ReceiptHandle receipt_handle;
  };

  void ReleaseQuietly(const std::vector<Delivery>& deliveries)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The open delivery of `message`, or why it is none.
  absl::StatusOr<Delivery> Find(const ReceivedMessage& message) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckAsk() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StopLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void BeginClose();
  absl::Status AnswerFlush(bool done) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t credit_;

  // A message is ready, or none will come / something has been settled. Every wait is for one.
  CondVar arrived_, settled_;
  uint64_t notified_ ABSL_GUARDED_BY(mutex_) = 0;

  uint64_t next_number_ ABSL_GUARDED_BY(mutex_) = 1;
  // Ready and open ones.
  absl::flat_hash_map<uint64_t, OpenDelivery> open_ ABSL_GUARDED_BY(mutex_);
  std::deque<ReceivedMessage> ready_ ABSL_GUARDED_BY(mutex_);
  int64_t ready_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Delivery> untaken_ ABSL_GUARDED_BY(mutex_);

  std::deque<Delivery> deletes_ ABSL_GUARDED_BY(mutex_);
  std::deque<Change> changes_ ABSL_GUARDED_BY(mutex_);
  // Since the consumer began.
  uint64_t deletes_asked_ ABSL_GUARDED_BY(mutex_) = 0, deletes_settled_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t changes_asked_ ABSL_GUARDED_BY(mutex_) = 0, changes_settled_ ABSL_GUARDED_BY(mutex_) = 0;

  absl::Status failure_ ABSL_GUARDED_BY(mutex_);  // the first that has not been told
  absl::Status ended_ ABSL_GUARDED_BY(mutex_);    // why; OK while it lives
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace barista::internal

#endif  // BARISTA_BROKER_CONSUMER_CONSUMER_STATE_H_
