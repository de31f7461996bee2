#include "bench/grpc/unary_load.h"

#include <atomic>
#include <mutex>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/time/clock.h"

namespace barista::bench {
namespace {

struct Progress {
  explicit Progress(int in_flight) : under_way(in_flight) {}

  // Written by the client's threads, read by the measuring one; relaxed: only counts, no data hangs
  // on them.
  std::atomic<int64_t> completed{0};
  // Set by the measuring thread, read by the client's; relaxed: a late call more or less does not
  // matter.
  std::atomic<bool> stop{false};
  absl::BlockingCounter under_way;  // one for each of the calls in flight
  std::mutex mutex;
  std::string error;  // guarded by mutex; the first one
};

void StartCall(RawClient& client, const UnaryLoad& load, Progress& progress) {
  client.Call(load.method, load.request, absl::InfiniteFuture(),
              [&client, &load, &progress](const grpc::Status& status, grpc::ByteBuffer& reply) {
                const bool good = status.ok() && load.accept(reply);
                if (good) {
                  progress.completed.fetch_add(1, std::memory_order_relaxed);
                } else {
                  std::lock_guard<std::mutex> lock(progress.mutex);
                  if (progress.error.empty()) {
                    progress.error = status.ok() ? "reply not accepted"
                                                 : absl::StrCat("code ", status.error_code(), ": ",
                                                                status.error_message());
                  }
                }
                if (good && !progress.stop.load(std::memory_order_relaxed)) {
                  StartCall(client, load, progress);
                } else {
                  progress.under_way.DecrementCount();
                }
              });
}

}  // namespace

absl::StatusOr<UnaryLoadResult> RunUnaryLoad(RawClient& client, pid_t server_pid,
                                             const UnaryLoad& load) {
  Progress progress(load.in_flight);
  for (int i = 0; i < load.in_flight; ++i) StartCall(client, load, progress);
  absl::SleepFor(load.warm_up);

  const int64_t completed_before = progress.completed.load(std::memory_order_relaxed);
  const absl::Duration server_before = UsageOf(server_pid).cpu, client_before = UsageOf(0).cpu;
  const absl::Time start = absl::Now();
  absl::SleepFor(load.measured);
  const double calls =
      static_cast<double>(progress.completed.load(std::memory_order_relaxed) - completed_before);
  const absl::Duration elapsed = absl::Now() - start;
  const absl::Duration server_cpu = UsageOf(server_pid).cpu - server_before,
                       client_cpu = UsageOf(0).cpu - client_before;

  progress.stop.store(true, std::memory_order_relaxed);
  progress.under_way.Wait();
  std::lock_guard<std::mutex> lock(progress.mutex);
  if (!progress.error.empty()) return absl::InternalError(progress.error);
  return UnaryLoadResult{calls / absl::ToDoubleSeconds(elapsed),
                         absl::ToDoubleMicroseconds(server_cpu) / calls,
                         absl::ToDoubleMicroseconds(client_cpu) / calls};
}

}  // namespace barista::bench
