#include "bench/embedded/backlog.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "client/load/credits.h"
#include "client/load/load_generator.h"

namespace barista::bench {
namespace {

using load::Credits;
using load::LoadTarget;
using load::ReceivedBatch;
using load::SendHow;

absl::StatusOr<std::unique_ptr<ReceivedBatch>> ReceiveAndWait(LoadTarget& target, int batch,
                                                              absl::Duration wait) {
  absl::StatusOr<std::unique_ptr<ReceivedBatch>> received;
  Credits ended(0);
  load::ReceiveHow how;
  how.max_messages = batch;
  how.wait = wait;
  target.Receive(0, how, [&](absl::StatusOr<std::unique_ptr<ReceivedBatch>> result) {
    received = std::move(result);
    ended.Give(1);
  });
  ended.Take(1, absl::InfiniteDuration());
  return received;
}

absl::Status DeleteAndWait(LoadTarget& target, std::unique_ptr<ReceivedBatch> batch) {
  absl::Status deleted;
  Credits ended(0);
  target.Delete(0, std::move(batch), [&](std::vector<absl::Status> statuses) {
    for (const absl::Status& status : statuses) deleted.Update(status);
    ended.Give(1);
  });
  ended.Take(1, absl::InfiniteDuration());
  return deleted;
}

// One thread's part; `left` is what all of them have still to receive, nothing after an error.
absl::Status ReceivePart(LoadTarget& target, std::atomic<int64_t>& left, Then then, int batch) {
  constexpr int kPatience = 10;  // receives that wait for 1 s
  absl::Status status;
  for (int empty = 0; left > 0 && status.ok();) {
    auto received = ReceiveAndWait(target, batch, absl::Seconds(1));
    status = received.status();
    if (!status.ok()) break;
    const int64_t count = static_cast<int64_t>((*received)->size());
    left -= count;
    empty = count == 0 ? empty + 1 : 0;
    if (empty == kPatience) status = absl::NotFoundError("nothing more to receive");
    if (count > 0 && then == Then::kDelete) {
      status = DeleteAndWait(target, *std::move(received));
    }
  }
  if (!status.ok()) left = 0;
  return status;
}

// Receives `*left` messages in `threads` while this one runs `meanwhile`.
template <typename F>
absl::Status ReceiveWhile(LoadTarget& target, std::atomic<int64_t>& left, Then then, int threads,
                          int batch, F&& meanwhile) {
  std::vector<absl::Status> statuses(static_cast<size_t>(threads));
  std::vector<std::thread> receivers;
  for (absl::Status& status : statuses) {
    receivers.emplace_back([&] { status = ReceivePart(target, left, then, batch); });
  }
  absl::Status result = meanwhile();
  if (!result.ok()) left = 0;
  for (std::thread& receiver : receivers) receiver.join();
  for (const absl::Status& status : statuses) result.Update(status);
  return result;
}

}  // namespace

absl::Status CreateBacklogQueue(LoadTarget& target) {
  return target.CreateQueues({"backlog-0"}, {{"Durability", "fsync"},
                                             {"VisibilityTimeout", "43200"},
                                             {"MaximumInFlightMessages", "1000000000"}});
}

absl::Status SendMany(LoadTarget& target, int64_t messages, size_t body_bytes, const SendHow& how) {
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
    target.Send(0, absl::MakeConstSpan(bodies).first(count), how,
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
  load::LoadOptions options;
  options.queue_prefix = "backlog-";
  options.body = body_bytes;
  options.consumers = 0;
  options.send_batch = 10;
  options.in_flight = 2560;
  options.warm_up = absl::ZeroDuration();
  options.measured = duration;
  RunLoad(target, options).status().IgnoreError();
}

absl::Status ReceiveMany(LoadTarget& target, int64_t messages, Then then, int threads, int batch) {
  std::atomic<int64_t> left{messages};
  return ReceiveWhile(target, left, then, threads, batch, [] { return absl::OkStatus(); });
}

absl::Status PassThrough(LoadTarget& target, int64_t messages, size_t body_bytes) {
  constexpr int64_t kPortion = 50'000;
  std::atomic<int64_t> left{messages};
  return ReceiveWhile(target, left, Then::kDelete, /*threads=*/8, /*batch=*/100, [&] {
    absl::Status status;
    for (int64_t to_send = messages; to_send > 0 && left > 0 && status.ok();) {
      if (left - to_send > kPortion) {
        absl::SleepFor(absl::Milliseconds(1));
        continue;
      }
      const int64_t portion = std::min(kPortion, to_send);
      status = SendMany(target, portion, body_bytes);
      to_send -= portion;
    }
    return status;
  });
}

}  // namespace barista::bench
