#include "bench/embedded/backlog.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "bench/load/credits.h"
#include "bench/load/load_generator.h"

namespace barista::bench {

absl::Status FillBacklog(LoadTarget& target, int64_t messages, size_t body_bytes) {
  if (auto status = target.CreateQueues({kBacklogQueue}, Durability::kFsync); !status.ok()) {
    return status;
  }
  constexpr int64_t kBatch = 100;
  constexpr int kSendsUnderWay = 20;
  const std::string body(body_bytes, 'b');
  const std::vector<absl::string_view> bodies(kBatch, body);
  Credits credits(kSendsUnderWay);
  std::mutex mutex;
  absl::Status first_error;  // guarded by mutex
  for (int64_t sent = 0; sent < messages; sent += kBatch) {
    credits.Take(1, absl::InfiniteDuration());
    {
      std::lock_guard<std::mutex> lock(mutex);
      if (!first_error.ok()) {
        credits.Give(1);
        break;
      }
    }
    const size_t count = static_cast<size_t>(std::min(kBatch, messages - sent));
    target.Send(0, absl::MakeConstSpan(bodies).first(count),
                [&](std::vector<absl::Status> statuses) {
                  for (const absl::Status& status : statuses) {
                    std::lock_guard<std::mutex> lock(mutex);
                    first_error.Update(status);
                  }
                  credits.Give(1);
                });
  }
  credits.Take(kSendsUnderWay, absl::InfiniteDuration());
  std::lock_guard<std::mutex> lock(mutex);
  return first_error;
}

void SendUnderLoad(LoadTarget& target, size_t body_bytes, absl::Duration duration) {
  LoadOptions options;
  options.queue_prefix = "backlog-";
  options.body_bytes = body_bytes;
  options.consumers = 0;
  options.send_batch = 10;
  options.in_flight = 2560;
  options.warm_up = absl::ZeroDuration();
  options.measured = duration;
  RunLoad(target, options).status().IgnoreError();
}

absl::Status WorkOff(LoadTarget& target, int64_t messages) {
  for (int64_t done = 0; done < messages;) {
    absl::StatusOr<std::unique_ptr<ReceivedBatch>> batch;
    Credits received(0);
    target.Receive(0, 10, absl::Seconds(10),
                   [&](absl::StatusOr<std::unique_ptr<ReceivedBatch>> result) {
                     batch = std::move(result);
                     received.Give(1);
                   });
    received.Take(1, absl::InfiniteDuration());
    if (!batch.ok()) return batch.status();
    if ((*batch)->size() == 0) return absl::NotFoundError("the backlog is empty");
    done += static_cast<int64_t>((*batch)->size());
    absl::Status deleted;
    Credits ended(0);
    target.Delete(0, *std::move(batch), [&](std::vector<absl::Status> statuses) {
      for (const absl::Status& status : statuses) deleted.Update(status);
      ended.Give(1);
    });
    ended.Take(1, absl::InfiniteDuration());
    if (!deleted.ok()) return deleted;
  }
  return absl::OkStatus();
}

}  // namespace barista::bench
