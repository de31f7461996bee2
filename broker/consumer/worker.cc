#include "barista/worker.h"

#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "broker/base/callback.h"
#include "broker/base/mutex.h"
#include "broker/consumer/backoff.h"
#include "broker/consumer/consumer_state.h"

namespace barista {
namespace {

// Of messages for each thread: one that it works on, one that is there when it is done.
constexpr int kCreditPerThread = 2;
// Pauses begin anew after a consumer that was good for so long. (Not after a message: where
// receives are possible and deletes are not, messages come again and again.)
constexpr absl::Duration kLasting = internal::Backoff::kLongest;

// After these another attempt may succeed.
bool IsTransient(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsResourceExhausted(status);
}

absl::Status Wrong(const std::string& field, const std::string& value, const std::string& limit) {
  return MakeError(
      absl::StatusCode::kInvalidArgument,
      absl::StrCat(field, " is ", value, "; it must be ", limit),
      {.reason = "InvalidParameterValue", .field = field, .value = value, .limit = limit});
}

ConsumeOptions ConsumeOptionsOf(const WorkerOptions& options) {
  return {.credit = kCreditPerThread * options.concurrency,
          .visibility_timeout = options.visibility_timeout,
          .heartbeat = options.heartbeat};
}

absl::Status Validate(const WorkerOptions& options, const Worker::Handler& handler) {
  if (options.concurrency < 1 || options.concurrency > kMaxWorkerConcurrency) {
    return Wrong("concurrency", absl::StrCat(options.concurrency),
                 absl::StrCat("1 to ", kMaxWorkerConcurrency));
  }
  if (options.retry_delay < absl::ZeroDuration() || options.retry_delay > absl::Hours(12))
    return Wrong("retry_delay", absl::FormatDuration(options.retry_delay), "0s to 12h");
  if (handler == nullptr) return Wrong("handler", "empty", "a function");
  return internal::ValidateConsume(ConsumeOptionsOf(options));
}

}  // namespace

// The threads of a worker share one consumer after the other. Whoever finds one broken leaves it,
// and when all have, one of them pauses and makes the next: so what handlers were at work on is not
// handled by another thread of this worker meanwhile.
class Worker::Work {
 public:
  Work(Queue queue, const WorkerOptions& options, Handler handler)
      : queue_(std::move(queue)), options_(options), handler_(std::move(handler)) {}
  ~Work() {
    for (std::thread& thread : threads_) thread.join();
  }

  void Begin() {
    {
      MutexLock lock(&mutex_);
      running_ = options_.concurrency;
    }
    for (int i = 0; i < options_.concurrency; ++i) threads_.emplace_back([this] { Run(); });
  }

  void Stop() {
    std::shared_ptr<Consumer> consumer;
    {
      MutexLock lock(&mutex_);
      stopping_ = true;
      consumer = consumer_;
      changed_.NotifyAll();
    }
    if (consumer != nullptr) consumer->Stop();
  }

  absl::Status Wait() {
    MutexLock lock(&mutex_);
    while (!finished_) changed_.Wait(&mutex_);
    return failure_;
  }

 private:
  bool over() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopping_ || !failure_.ok(); }

  void Run() {
    while (const std::shared_ptr<Consumer> consumer = Enter()) {
      for (;;) {
        absl::StatusOr<std::optional<ReceivedMessage>> message = consumer->Next();
        if (!message.ok()) {
          if (!GoesOnAfter(message.status(), *consumer)) break;
        } else if (!MayHandle()) {
          break;  // Released when the consumer is closed.
        } else if (message->has_value()) {
          Handle(**message, *consumer);
        }
      }
      Leave();
    }
    Finish();
  }

  // The consumer to take messages from, made if there is none; null: the work is over.
  std::shared_ptr<Consumer> Enter() {
    for (;;) {
      std::shared_ptr<Consumer> broken;
      {
        MutexLock lock(&mutex_);
        while (!over() && (renewing_ || (inside_ > 0 && (consumer_ == nullptr || broken_))))
          changed_.Wait(&mutex_);
        if (over()) return nullptr;
        if (consumer_ != nullptr && !broken_) {
          ++inside_;
          return consumer_;
        }
        renewing_ = true;
        broken = std::move(consumer_);
        consumer_ = nullptr;
      }
      if (broken != nullptr) Tell(broken->Close());
      Pause();
      absl::StatusOr<std::unique_ptr<Consumer>> made = queue_.Consume(ConsumeOptionsOf(options_));
      if (!made.ok()) Judge(made.status());
      MutexLock lock(&mutex_);
      if (made.ok()) {
        consumer_ = *std::move(made);
        made_at_ = std::chrono::steady_clock::now();
      }
      broken_ = false;
      renewing_ = false;
      changed_.NotifyAll();
    }
  }

  void Leave() {
    MutexLock lock(&mutex_);
    if (--inside_ == 0) changed_.NotifyAll();
  }

  // Sets the pause after an error that may pass, and otherwise ends the work.
  void Judge(const absl::Status& status) {
    if (!IsTransient(status)) {
      MutexLock lock(&mutex_);
      if (failure_.ok()) failure_ = status;
      changed_.NotifyAll();
      return;
    }
    Tell(status);
    MutexLock lock(&mutex_);
    if (std::chrono::steady_clock::now() - made_at_ >= absl::ToChronoNanoseconds(kLasting))
      backoff_.Reset();
    pause_ = backoff_.Next(random_);
  }

  // Whether `consumer` is still good after an error of its Next.
  bool GoesOnAfter(const absl::Status& status, Consumer& consumer) {
    if (consumer.status().ok() && !IsTransient(status) && !absl::IsCancelled(status)) {
      Tell(status);  // One message, which comes again if it is still stored.
      return true;
    }
    bool first;
    {
      MutexLock lock(&mutex_);
      first = !broken_ && !stopping_;
      broken_ = true;
    }
    if (first) {
      Judge(status);
      consumer.Stop();  // The others leave it.
    }
    return false;
  }

  bool MayHandle() {
    MutexLock lock(&mutex_);
    return !over();
  }

  void Handle(const ReceivedMessage& message, Consumer& consumer) {
    // (Of a consumer that has ended meanwhile the message comes again.)
    if (handler_(message).ok()) {
      consumer.Delete(message).IgnoreError();
    } else {
      consumer.Release(message, options_.retry_delay).IgnoreError();
    }
  }

  // Real time: what the attempts wait for does not follow the broker's clock.
  void Pause() {
    MutexLock lock(&mutex_);
    const auto until =
        std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(std::exchange(pause_, {}));
    while (!over()) {
      const auto left = until - std::chrono::steady_clock::now();
      if (left <= left.zero()) return;
      changed_.WaitFor(&mutex_, absl::FromChrono(left));
    }
  }

  void Finish() {
    std::shared_ptr<Consumer> consumer;
    {
      MutexLock lock(&mutex_);
      if (--running_ > 0) return;
      consumer = std::move(consumer_);
      consumer_ = nullptr;
    }
    if (consumer != nullptr) Tell(consumer->Close());
    MutexLock lock(&mutex_);
    finished_ = true;
    changed_.NotifyAll();
  }

  void Tell(const absl::Status& status) {
    if (!status.ok() && options_.on_trouble) options_.on_trouble(status);
  }

  Queue queue_;
  const WorkerOptions options_;
  const Handler handler_;
  std::vector<std::thread> threads_;  // of Begin and the destructor

  Mutex mutex_;
  CondVar changed_;
  std::shared_ptr<Consumer> consumer_ ABSL_GUARDED_BY(mutex_);
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;    // consumer_ is
  bool renewing_ ABSL_GUARDED_BY(mutex_) = false;  // a thread makes the next one
  int inside_ ABSL_GUARDED_BY(mutex_) = 0;         // threads that take from consumer_
  int running_ ABSL_GUARDED_BY(mutex_) = 0;        // threads
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  internal::Backoff backoff_ ABSL_GUARDED_BY(mutex_);
  absl::BitGen random_ ABSL_GUARDED_BY(mutex_);
  absl::Duration pause_ ABSL_GUARDED_BY(mutex_);
  std::chrono::steady_clock::time_point made_at_ ABSL_GUARDED_BY(mutex_);  // consumer_
};

absl::StatusOr<std::unique_ptr<Worker>> Worker::Start(Queue queue, const WorkerOptions& options,
                                                      Handler handler) {
  if (absl::Status status = Validate(options, handler); !status.ok()) return status;
  auto work = std::make_unique<Work>(std::move(queue), options, std::move(handler));
  work->Begin();
  return std::unique_ptr<Worker>(new Worker(std::move(work)));
}

Worker::Worker(std::unique_ptr<Work> work) : work_(std::move(work)) {}

Worker::~Worker() {
  work_->Stop();
  work_->Wait().IgnoreError();
}

void Worker::Stop() { work_->Stop(); }

absl::Status Worker::Wait() {
  if (absl::Status status = CheckMayBlock(); !status.ok()) return status;
  return work_->Wait();
}

}  // namespace barista
