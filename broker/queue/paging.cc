// What lies on disk and when it comes to memory: pages of a spilled queue, delayed messages that
// are due.

#include <algorithm>
#include <future>
#include <utility>

#include "broker/queue/operations.h"
#include "broker/queue/standard_queue.h"

namespace barista::internal {

using storage::Batch;

namespace {

constexpr size_t kPageMessages = 4096;
// What a page that reached the end may still read inside the turn, to become RESIDENT while senders
// go on.
constexpr size_t kCatchUpMessages = 1024;
constexpr size_t kCatchUpBytes = 1 << 20;
// Delayed messages that enter the queue in one operation.
constexpr size_t kReleaseMessages = 1024;
constexpr size_t kReleaseBytes = 1 << 20;

}  // namespace

void StandardQueue::RequestPageIfLow() {
  if (!MoreOnDisk()) return;
  const int64_t ready = ready_count_.load(std::memory_order_relaxed);
  const bool low = ready <= 0 || (ready < kWindowMessages / 2 &&
                                  ready_bytes_.load(std::memory_order_relaxed) < kWindowBytes / 2 &&
                                  engine_->window_bytes.load(std::memory_order_relaxed) <
                                      engine_->window_limit_bytes);
  if (low && !page_requested_.exchange(true))
    engine_->ask_pager(shared_from_this(), PagerTask::kPage);
}

std::vector<StandardQueue::Arrival> StandardQueue::ToArrivals(
    const storage::Page& page, absl::FunctionRef<bool(Sequence)> wanted) const {
  std::vector<Arrival> arrivals;
  arrivals.reserve(page.messages.size());
  for (const storage::ScannedMessage& message : page.messages) {
    if (!wanted(message.ref.sequence)) continue;
    arrivals.push_back({message.ref.sequence, Payload::Copy(engine_->payloads, message.record),
                        message.ref, message.lease,
                        message.ref.sequence.value() < first_sequence_of_boot_});
  }
  return arrivals;
}

void PageOp::Complete(const absl::Status& status) {
  StandardQueue& queue = *queue_;
  if (last_) queue.page_requested_.store(false);
  if (!status.ok() || !damage_.ok()) queue.EndReceives(status.ok() ? damage_ : status);
  if (status.ok()) {
    queue.WakeReceives();
    queue.WakePageWaiters();
    // Parked receives want messages, whatever the window holds.
    if (last_ && queue.AnyParked()) queue.RequestPageIfLow();
  }
  delete this;
}

// Installs the page at the cursor, unless something overtook it: a purge or the removal of a
// message on disk begins a new epoch.
class InstallPageOp final : public PageOp {
 public:
  InstallPageOp(std::shared_ptr<StandardQueue> queue, Sequence from, uint64_t epoch, bool last,
                absl::StatusOr<storage::Page> page)
      : PageOp(std::move(queue), page.status(), last), from_(from), epoch_(epoch) {
    if (!page.ok()) return;
    page_ = *std::move(page);
    arrivals_ = this->queue().ToArrivals(page_, StandardQueue::All);
  }

  void Publish() override {
    StandardQueue& queue = this->queue();
    if (queue.dropped_ || epoch_ != queue.page_epoch_ || from_ != queue.cursor_ ||
        !queue.spilled_.load())
      return;
    Install(page_, &arrivals_);
    if (page_.end) CatchUp();
    queue.cursor_shown_.store(queue.cursor_.value());
  }

 private:
  void Install(const storage::Page& page, std::vector<StandardQueue::Arrival>* arrivals) {
    queue().Admit(absl::MakeSpan(*arrivals), queue().ready_);
    arrivals->clear();
    queue().StowHidden(page.hidden);
    queue().cursor_ = page.next;
  }

  // The store holds everything published so far: read the rest, and if that is little, nothing of
  // the queue is on disk only any more. What this turn publishes later finds the queue RESIDENT.
  void CatchUp() {
    StandardQueue& queue = this->queue();
    storage::ScanLimits limits;
    limits.max_messages = kCatchUpMessages;
    limits.max_bytes = kCatchUpBytes;
    limits.max_hidden = kCatchUpMessages;
    limits.end = queue.published_next_;
    limits.hidden_after_ms = queue.engine_->SteadyWallMs(queue.engine_->MonoNs());
    const absl::StatusOr<storage::Page> rest =
        queue.engine_->store->Scan(queue.id_, queue.cursor_, limits);
    if (!rest.ok()) return;  // The next page request meets the same error and reports it.
    std::vector<StandardQueue::Arrival> arrivals = queue.ToArrivals(*rest, StandardQueue::All);
    Install(*rest, &arrivals);
    if (!rest->end) return;
    queue.cursor_ = queue.published_next_;
    queue.spilled_.store(false, std::memory_order_release);
  }

  const Sequence from_;
  const uint64_t epoch_;
  storage::Page page_;
};

void StandardQueue::ReadPage() {
  // What is back from consumers and what is new take turns.
  if (stowed_.visible() > 0 && (!spilled_.load() || pages_.fetch_add(1) % 2 == 0)) {
    if (const auto visible = stowed_.NextVisible(Sequence(returned_from_.load()));
        visible.has_value())
      return ReadReturned(*visible);
  }
  // The epoch first: a page of a later state than its epoch is only thrown away needlessly.
  const uint64_t epoch = epoch_shown_.load();
  const Sequence from(cursor_shown_.load());
  storage::ScanLimits limits;
  limits.max_messages = kPageMessages;
  limits.max_bytes = engine_->page_bytes;
  // Not beyond what is published: a message that is stored but not yet acknowledged must not be
  // seen (I1).
  limits.end = Sequence(published_shown_.load());
  limits.hidden_after_ms = engine_->SteadyWallMs(engine_->MonoNs());
  if (ReadTwoPages(from, epoch, limits)) return;
  absl::StatusOr<storage::Page> page = engine_->store->Scan(id_, from, limits);
  two_pages_ = page.ok() && page->messages.size() == kPageMessages;
  engine_->log->Submit(
      new InstallPageOp(shared_from_this(), from, epoch, /*last=*/true, std::move(page)));
}

// Verifying what is read takes a core: two pages side by side take two. They are neighbours by
// sequence, so this is for queues whose messages lie close together and are small.
bool StandardQueue::ReadTwoPages(Sequence from, uint64_t epoch, storage::ScanLimits limits) {
  const Sequence middle(from.value() + kPageMessages);
  const Sequence end(middle.value() + kPageMessages);
  if (engine_->options.manual || !two_pages_ || limits.end <= end) return false;
  const auto read = [&](Sequence begin, Sequence border) {
    storage::ScanLimits part = limits;
    part.end = border;
    absl::StatusOr<storage::Page> page = engine_->store->Scan(id_, begin, part);
    if (!page.ok() || !page->end) return page;
    page->next = border;  // There is more behind.
    page->end = false;
    return page;
  };
  // (Deferred where there is no thread to be had.)
  std::future<absl::StatusOr<storage::Page>> second =
      std::async(std::launch::async | std::launch::deferred, [&] { return read(middle, end); });
  absl::StatusOr<storage::Page> first = read(from, middle);
  absl::StatusOr<storage::Page> behind = second.get();
  // Else they do not join, or a scan that looks for the next message is faster.
  two_pages_ = first.ok() && first->next == middle && first->messages.size() > kPageMessages / 2;
  if (!two_pages_) return false;
  engine_->log->Submit(
      new InstallPageOp(shared_from_this(), from, epoch, /*last=*/false, std::move(first)));
  engine_->log->Submit(
      new InstallPageOp(shared_from_this(), middle, epoch, /*last=*/true, std::move(behind)));
  return true;
}

// ---- Delayed messages ----

// Moves the delayed messages that are due into the queue, with fresh sequences. Not synced on its
// own account: after a crash the rows are due again, and whatever was done with the messages is in
// the log behind the move.
class ReleaseDelayedOp final : public commit::Operation {
 public:
  explicit ReleaseDelayedOp(std::shared_ptr<StandardQueue> queue)
      : Operation(queue->durability(), kReleaseBytes), queue_(std::move(queue)) {}
  ~ReleaseDelayedOp() override {
    for (StandardQueue::Arrival& arrival : arrivals_) {
      if (arrival.payload != nullptr) arrival.payload->Unref();
    }
  }

  absl::Status Prepare(commit::Turn& turn) override {
    StandardQueue& queue = *queue_;
    if (queue.dropped_ || queue.releasing_ || queue.unpublished_purges_ > 0)
      return absl::OkStatus();
    const absl::StatusOr<std::vector<storage::DelayedRow>> rows = queue.engine_->store->ScanDelayed(
        queue.id_, queue.engine_->SteadyWallMs(turn.mono_ns()), kReleaseMessages, kReleaseBytes);
    if (!rows.ok()) return rows.status();
    if (rows->empty()) return absl::OkStatus();
    releasing_ = queue.releasing_ = true;
    arrivals_.resize(rows->size());
    for (size_t i = 0; i < rows->size(); ++i) {
      const storage::DelayedRow& row = (*rows)[i];
      StandardQueue::Arrival& arrival = arrivals_[i];
      arrival.sequence = Sequence(queue.counters_.next_sequence++);
      arrival.payload = Payload::Copy(queue.engine_->payloads, row.record);
      turn.batch().Add(Batch::DeleteDelayed{queue.id_, row.due_ms, row.id});
      turn.batch().Add(
          Batch::Append{queue.id_, arrival.sequence, arrival.payload->record(), &arrival.ref});
    }
    queue.counters_.delayed -= rows->size();
    turn.Touch(&queue);
    return absl::OkStatus();
  }

  void Publish() override {
    StandardQueue& queue = *queue_;
    if (!releasing_) return queue.ArmNextDelay();
    queue.releasing_ = false;
    queue.AdmitNew(absl::MakeSpan(arrivals_));
    for (StandardQueue::Arrival& arrival : arrivals_) arrival.payload = nullptr;
    queue.PublishCounters();
    queue.ArmNextDelay();
  }

  void Complete(const absl::Status& status) override {
    if (status.ok()) queue_->WakeReceives();
    delete this;
  }

 private:
  const std::shared_ptr<StandardQueue> queue_;
  std::vector<StandardQueue::Arrival> arrivals_;
  bool releasing_ = false;
};

void StandardQueue::ReleaseDelayed() {
  engine_->log->Submit(new ReleaseDelayedOp(shared_from_this()));
}

void StandardQueue::ArmDelay(int64_t due_ms) {
  SetAlarm(&StandardQueue::delay_alarm_, engine_->MonoAt(due_ms), &StandardQueue::ReleaseDelayed);
}

void StandardQueue::ArmNextDelay() {
  if (!durable() || delayed_shown_.load() == 0) return;
  const absl::StatusOr<std::optional<int64_t>> due_ms = engine_->store->FirstDelayed(id_);
  // An unreadable row is reported by the operation that needs it: try at once.
  if (!due_ms.ok()) {
    ArmDelay(0);
  } else if (due_ms->has_value()) {
    ArmDelay(**due_ms);
  }
}

}  // namespace barista::internal
