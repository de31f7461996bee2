#include "broker/server/grpc_calls.h"

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "barista/clock.h"
#include "barista/rpc/status.pb.h"
#include "broker/server/grpc_caller.h"
#include "broker/server/log.h"

namespace barista::server {
namespace {

// Of what a client has sent, in the log.
constexpr size_t kMaxQuotedBytes = 128;

// The id that the client gave; empty: none that can be taken.
absl::string_view GivenId(const grpc::CallbackServerContext& context) {
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find(kRequestIdName);
  if (found == metadata.end()) return "";
  const absl::string_view id(found->second.data(), found->second.size());
  return RequestIds::IsSane(id) ? id : "";
}

bool IsOurs(grpc::StatusCode code) {
  return code == grpc::StatusCode::INTERNAL || code == grpc::StatusCode::UNAVAILABLE ||
         code == grpc::StatusCode::UNKNOWN || code == grpc::StatusCode::DATA_LOSS;
}

std::string ReasonOf(const grpc::Status& status) {
  rpc::Status details;
  rpc::ErrorInfo info;
  if (!details.ParseFromString(status.error_details()) || details.details().empty() ||
      !info.ParseFromString(details.details(0).value())) {
    return "";
  }
  return info.reason();
}

}  // namespace

GrpcCall GrpcCalls::Begin(grpc::CallbackServerContext* context, absl::string_view method,
                          absl::string_view queue) {
  return GrpcCall(this, metrics_->Begin(method), context, queue);
}

void GrpcCall::End(const grpc::Status& status) const {
  counted_.End(status);
  const absl::string_view given = GivenId(*context_);
  if (status.ok() && given.empty()) return;
  const std::string id = given.empty() ? calls_->ids_.Next() : std::string(given);
  context_->AddTrailingMetadata(kRequestIdName, id);
  if (!status.ok()) calls_->LogFailure(*this, status, id);
}

void GrpcCalls::LogFailure(const GrpcCall& call, const grpc::Status& status, absl::string_view id) {
  bool ours = IsOurs(status.error_code());
  std::string held_back;
  if (ours && LogsAt(spdlog::level::info)) {
    const std::optional<int64_t> before = log_gate_.Pass(Clock::System()->Monotonic());
    if (before.has_value()) {
      held_back = absl::StrCat(" (", *before, " before it are not in the log)");
    } else {
      ours = false;
    }
  }
  const spdlog::level::level_enum level = ours ? spdlog::level::info : spdlog::level::debug;
  if (!LogsAt(level)) return;
  const std::string code =
      absl::StatusCodeToString(static_cast<absl::StatusCode>(status.error_code()));
  const std::string reason = ReasonOf(status);
  const std::string queue = absl::CHexEscape(call.queue_.substr(0, kMaxQuotedBytes));
  const std::string client = GrpcCaller(*call.context_).Client();
  const std::string error = ours ? status.error_message() : "";
  const double took_ms = absl::ToDoubleMilliseconds(call.counted_.elapsed());
  Log(level,
      absl::StrCat(call.counted_.method(), queue.empty() ? "" : " of ", queue, " from ", client,
                   " failed: ", code, reason.empty() ? "" : " ", reason, error.empty() ? "" : ": ",
                   error, "; request ", id, ", ", took_ms, " ms", held_back),
      {{"request_id", id},
       {"method", call.counted_.method()},
       {"queue", queue},
       {"client", client},
       {"code", code},
       {"reason", reason},
       {"error", error},
       {"duration_ms", took_ms}});
}

}  // namespace barista::server
