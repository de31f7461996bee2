#ifndef BARISTA_BROKER_SURVEY_H_
#define BARISTA_BROKER_SURVEY_H_

#include "absl/status/statusor.h"
#include "barista/stats.h"
#include "broker/registry.h"

namespace barista::internal {

// Broker::SurveyQueues. Allocates for the queues that it lists, not for those it counts.
absl::StatusOr<QueueSurvey> Survey(const Registry& registry, const SurveyOptions& options);

}  // namespace barista::internal

#endif  // BARISTA_BROKER_SURVEY_H_
