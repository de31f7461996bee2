#ifndef BARISTA_BROKER_QUEUE_ENGINE_H_
#define BARISTA_BROKER_QUEUE_ENGINE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "barista/broker.h"
#include "broker/base/mutex.h"
#include "broker/base/siphash.h"
#include "broker/commit/commit_log.h"
#include "broker/core/lane.h"
#include "broker/core/slab.h"
#include "broker/core/timer.h"
#include "broker/core/waiters.h"
#include "broker/message/payload_pool.h"
#include "broker/metrics/histogram.h"
#include "broker/queue/in_flight_order.h"
#include "storage/store.h"

namespace barista::internal {

class ReceiveCall;
class StandardQueue;

enum class PagerTask { kPage, kLeases };

using ParkedReceives = core::Waiters<std::shared_ptr<ReceiveCall>>;

// What the queues of one broker share. Owned by the broker; outlives its queues' operations.
// Thread-safe.
struct Engine {
  Engine() = default;
  // Lets go of the messages that are still in memory.
  ~Engine();

  BrokerOptions options;
  const Clock* clock = nullptr;
  storage::Store* store = nullptr;
  commit::CommitLog* log = nullptr;
  core::Timer* timer = nullptr;
  core::Slab slab;
  PayloadPool* const payloads = new PayloadPool;  // orphaned by the destructor: messages outlive us
  core::Lane::Pool lane_segments;
  // Shared with the queues: a receive may be cancelled when the broker is gone.
  const std::shared_ptr<ParkedReceives::Pool> waiters = std::make_shared<ParkedReceives::Pool>();

  SipKey receipt_key;
  uint32_t boot = 0;
  std::string arn_prefix;  // "arn:aws:sqs:REGION:ACCOUNT:"

  // Asks the pager to work for a queue, from any thread.
  std::function<void(std::shared_ptr<StandardQueue>, PagerTask)> ask_pager;
  // Gives space of purged and deleted queues back, some time.
  std::function<void()> request_reclaim;
  // Manual mode: Broker::RunOnce.
  std::function<bool()> run_once;

  // Bytes of READY messages of durable queues, and what they may be together; over it queues spill.
  std::atomic<int64_t> window_bytes{0};
  int64_t window_limit_bytes = 0;
  // Messages in flight whose leases are in the store, and what all in flight may take; over it they
  // are stowed. Committer only.
  InFlightOrder in_flight_order;
  int64_t in_flight_limit_bytes = 0;
  // What a page read from the store may hold.
  size_t page_bytes = 0;
  // Whether messages in flight take more than they may. An estimate, from any thread.
  bool InFlightExcess() const {
    return resident_bytes.load(std::memory_order_relaxed) -
               window_bytes.load(std::memory_order_relaxed) -
               memory_queue_bytes.load(std::memory_order_relaxed) +
               in_flight_overhead.load(std::memory_order_relaxed) >
           in_flight_limit_bytes;
  }
  // What in_flight_order, slots and timers take; written by the committer.
  std::atomic<int64_t> in_flight_overhead{0};
  // Bytes of all messages of `memory` queues, and what they may be; over it sends are refused.
  std::atomic<int64_t> memory_queue_bytes{0};
  int64_t memory_queue_limit_bytes = 0;

  std::atomic<bool> closed{false};
  // Held while a caller's thread reads the store outside the turn, and by Close before it closes
  // the store.
  Mutex peek_mutex;
  // The queue of that name; null if there is none.
  std::function<std::shared_ptr<StandardQueue>(absl::string_view)> find_queue;

  // Changes attributes and tags (null: none, then those to remove) of a queue. Definitions are the
  // broker's, which sees all queues: a redrive policy names another one.
  std::function<absl::Status(StandardQueue*, const QueueAttributes&, const QueueTags*,
                             absl::Span<const std::string>)>
      redefine;

  // Counts for BrokerStats: relaxed.
  std::atomic<uint64_t> sent{0}, received{0}, deleted{0}, expired{0}, dead_lettered{0},
      bytes_sent{0};
  std::atomic<int64_t> parked{0}, resident{0}, resident_bytes{0};
  // From sends to first receives: 1 ms to 9 hours.
  using ReceiveLatency = metrics::ShardedHistogram<1, 26>;
  ReceiveLatency receive_latency_ms;

  // Message ids: distinct for ever, in the form of random UUIDs. The high half is random per boot,
  // the low half a bijection of a counter.
  uint64_t id_high = 0;
  uint64_t id_seed = 0;
  std::atomic<uint64_t> id_counter{0};
  MessageId NewMessageId();

  // Wall time that follows the monotonic clock since Open, so that a step of the machine's clock
  // moves no deadline of this boot.
  int64_t wall_base_ms = 0;
  int64_t mono_base_ns = 0;
  int64_t MonoNs() const { return absl::ToInt64Nanoseconds(clock->Monotonic()); }
  int64_t SteadyWallMs(int64_t mono_ns) const {
    return wall_base_ms + (mono_ns - mono_base_ns) / 1'000'000;
  }
  // The monotonic time at which SteadyWallMs reaches `wall_ms`; never earlier.
  int64_t MonoAt(int64_t wall_ms) const {
    return mono_base_ns + (wall_ms - wall_base_ms) * 1'000'000;
  }
  int64_t WallMs() const { return absl::ToUnixMillis(clock->Now()); }
};

}  // namespace barista::internal

#endif  // BARISTA_BROKER_QUEUE_ENGINE_H_
