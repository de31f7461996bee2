#include "broker/survey.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "broker/message/validation.h"
#include "broker/queue/standard_queue.h"

namespace barista::internal {
namespace {

struct Seen {
  std::shared_ptr<StandardQueue> queue;
  MessageCounts counts;
};

// Whether `a` is listed before `b`. As the order of a heap: its front is the first to give way.
bool Before(const Seen& a, const Seen& b) {
  const int64_t depth_a = a.counts.depth();
  const int64_t depth_b = b.counts.depth();
  return depth_a != depth_b ? depth_a > depth_b : a.queue->name() < b.queue->name();
}

}  // namespace

absl::StatusOr<QueueSurvey> Survey(const QueueList& queues, int64_t wall_ms,
                                   const SurveyOptions& options) {
  if (options.max_queues < 0 || options.max_queues > kMaxSurveyedQueues) {
    return InvalidParameter("max_queues", absl::StrCat(options.max_queues),
                            absl::StrCat("it must be between 0 and ", kMaxSurveyedQueues, "."),
                            absl::StrCat("0 to ", kMaxSurveyedQueues));
  }
  const size_t max = static_cast<size_t>(options.max_queues);
  QueueSurvey survey;
  std::vector<Seen> deepest;  // a heap
  queues.Visit([&](const std::shared_ptr<StandardQueue>& queue) {
    if (!options.prefix.empty() && !absl::StartsWith(queue->name(), options.prefix)) return;
    const MessageCounts counts = queue->Counts(wall_ms);
    ++survey.queues;
    MessageCounts& total = survey.total;
    total.visible += counts.visible;
    total.in_flight += counts.in_flight;
    total.delayed += counts.delayed;
    total.oldest_message_age = std::max(total.oldest_message_age, counts.oldest_message_age);
    if (deepest.size() == max) {
      if (max == 0 || counts.depth() <= deepest.front().counts.depth()) return;
      std::pop_heap(deepest.begin(), deepest.end(), Before);
      deepest.pop_back();
    }
    deepest.push_back({queue, counts});
    std::push_heap(deepest.begin(), deepest.end(), Before);
  });
  std::sort_heap(deepest.begin(), deepest.end(), Before);
  survey.deepest.reserve(deepest.size());
  for (const Seen& seen : deepest) survey.deepest.push_back({seen.queue->name(), seen.counts});
  return survey;
}

}  // namespace barista::internal
