#ifndef BARISTA_BROKER_SURVEY_H_
#define BARISTA_BROKER_SURVEY_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "barista/stats.h"
#include "broker/queue_list.h"

namespace barista::internal {

// Broker::SurveyQueues, at `wall_ms`. Allocates for the queues that it lists, not for those it
// counts.
absl::StatusOr<QueueSurvey> Survey(const QueueList& queues, int64_t wall_ms,
                                   const SurveyOptions& options);

}  // namespace barista::internal

#endif  // BARISTA_BROKER_SURVEY_H_
