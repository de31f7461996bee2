#include "broker/server/admin/admin_handler.h"

#include <boost/json.hpp>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "barista/error.h"
#include "broker/server/admin/message_json.h"
#include "broker/server/text.h"

namespace barista::server {
namespace {

// Of bodies in one reply; there is at least one.
constexpr size_t kMaxPeekBytes = 4 << 20;
constexpr double kMaxAdvanceSeconds = 10 * 365 * 86400.0;

HttpResponse Json(const boost::json::object& object, int status = 200) {
  return {.status = status, .body = boost::json::serialize(object) + "\n"};
}

HttpResponse NotAllowed(const HttpRequest& request, const std::string& allow) {
  HttpResponse response =
      HttpError(405, "MethodNotAllowed", absl::StrCat(request.path, " answers ", allow, " only"));
  response.allow = allow;
  return response;
}

// NAME in /admin/queues/NAME/messages.
std::optional<std::string> PeekedQueue(absl::string_view path) {
  if (!absl::ConsumePrefix(&path, "/admin/queues/")) return std::nullopt;
  if (!absl::ConsumeSuffix(&path, "/messages")) return std::nullopt;
  if (path.empty() || path.find('/') != absl::string_view::npos) return std::nullopt;
  return std::string(path);
}

class HttpCaller final : public Caller {
 public:
  explicit HttpCaller(const HttpRequest& request) : request_(request) {}
  absl::string_view Authorization() const override { return request_.authorization; }
  std::string Client() const override { return request_.client; }

 private:
  const HttpRequest& request_;
};

}  // namespace

AdminHandler::AdminHandler(Broker* broker, const Metrics* metrics, Executor* executor,
                           Access* access, ManualClock* clock, const std::atomic<bool>* draining)
    : broker_(broker),
      metrics_(metrics),
      executor_(executor),
      access_(access),
      clock_(clock),
      draining_(draining) {}

void AdminHandler::Handle(HttpRequest request, HttpReply reply) {
  const std::string& path = request.path;
  const std::optional<std::string> peeked = PeekedQueue(path);
  const absl::Status allowed = peeked.has_value()
                                   ? access_->Check(HttpCaller(request), "PeekMessages", *peeked)
                                   : access_->Check(HttpCaller(request), path, "");
  if (!allowed.ok()) return reply(HttpError(allowed));
  const bool get = request.method == "GET";
  const auto submit = [&](absl::AnyInvocable<HttpResponse()> work) {
    const bool accepted =
        executor_->TrySubmit([reply, work = std::move(work)]() mutable { reply(work()); });
    if (!accepted) reply(HttpError(503, "ServerBusy", "too many calls wait already"));
  };
  if (path == "/healthz") {
    return reply(get ? Json({{"status", "ok"}}) : NotAllowed(request, "GET"));
  }
  if (path == "/readyz") return reply(get ? Ready() : NotAllowed(request, "GET"));
  if (path == "/metrics") {
    if (!get) return reply(NotAllowed(request, "GET"));
    return submit([this, request = std::move(request)] { return ShowMetrics(request); });
  }
  if (path == "/admin/clock/advance" && clock_ != nullptr) {
    if (request.method != "POST") return reply(NotAllowed(request, "POST"));
    return submit([this, request = std::move(request)] { return AdvanceClock(request); });
  }
  if (peeked.has_value()) {
    if (!get) return reply(NotAllowed(request, "GET"));
    return submit(
        [this, queue = *peeked, request = std::move(request)] { return Peek(queue, request); });
  }
  reply(HttpError(404, "NotFound", absl::StrCat("there is nothing at ", path)));
}

HttpResponse AdminHandler::Ready() const {
  if (draining_->load(std::memory_order_relaxed)) return Json({{"status", "draining"}}, 503);
  const BrokerStats stats = broker_->Stats();
  if (stats.refusing_writes) return Json({{"status", "refusing_writes"}}, 503);
  return Json({{"status", "ready"}, {"refusing_sends", stats.refusing_sends}});
}

HttpResponse AdminHandler::ShowMetrics(const HttpRequest& request) const {
  absl::StatusOr<std::string> text =
      request.query.empty() ? metrics_->Format() : metrics_->FormatQueues(request.query);
  if (!text.ok()) return HttpError(text.status());
  return {.status = 200,
          .body = *std::move(text),
          .content_type = "text/plain; version=0.0.4; charset=utf-8"};
}

HttpResponse AdminHandler::AdvanceClock(const HttpRequest& request) {
  boost::json::error_code error;
  const boost::json::value body = boost::json::parse(request.body, error);
  const boost::json::value* seconds = nullptr;
  if (!error && body.is_object()) seconds = body.get_object().if_contains("seconds");
  if (seconds == nullptr || !seconds->is_number()) {
    return HttpError(MakeError(absl::StatusCode::kInvalidArgument,
                               "expected a body like {\"seconds\":60}",
                               {.reason = "InvalidParameterValue",
                                .field = "seconds",
                                .value = request.body.substr(0, 128),
                                .limit = absl::StrCat("[0, ", kMaxAdvanceSeconds, "]")}));
  }
  const double step = seconds->to_number<double>();
  if (!std::isfinite(step) || step < 0 || step > kMaxAdvanceSeconds) {
    return HttpError(
        MakeError(absl::StatusCode::kInvalidArgument,
                  absl::StrCat("seconds is ", step, "; limit [0, ", kMaxAdvanceSeconds, "]"),
                  {.reason = "InvalidParameterValue",
                   .field = "seconds",
                   .value = absl::StrCat(step),
                   .limit = absl::StrCat("[0, ", kMaxAdvanceSeconds, "]")}));
  }
  clock_->Advance(absl::Seconds(step));
  return Json({{"now", TimeToText(clock_->Now())}});
}

HttpResponse AdminHandler::Peek(const std::string& queue_name, const HttpRequest& request) {
  PeekOptions options;
  for (const auto& [key, value] : request.query) {
    if (key == "max" && absl::SimpleAtoi(value, &options.max_messages) &&
        options.max_messages >= 1 && options.max_messages <= kMaxReceiveMessages) {
      continue;
    }
    return HttpError(MakeError(
        absl::StatusCode::kInvalidArgument,
        absl::StrCat(key, "=", value, ": expected max=N with N in [1, ", kMaxReceiveMessages, "]"),
        {.reason = "InvalidParameterValue",
         .field = key,
         .value = value,
         .limit = absl::StrCat("[1, ", kMaxReceiveMessages, "]")}));
  }
  absl::StatusOr<Queue> queue = broker_->GetQueue(queue_name);
  if (!queue.ok()) return HttpError(queue.status());
  const absl::StatusOr<std::vector<PeekedMessage>> messages = queue->Peek(options);
  if (!messages.ok()) return HttpError(messages.status());
  boost::json::array array;
  size_t bytes = 0;
  for (const PeekedMessage& message : *messages) {
    bytes += message.body.size();
    if (bytes > kMaxPeekBytes && !array.empty()) break;
    array.push_back(MessageToJson(message));
  }
  return Json({{"messages", std::move(array)}});
}

HttpHandler NoAwsProtocolsYet(Access* access, std::function<std::string()> grpc_address) {
  return [access, grpc_address = std::move(grpc_address)](const HttpRequest& request,
                                                          const HttpReply& reply) {
    const absl::Status allowed = access->Check(HttpCaller(request), "AwsProtocols", "");
    if (!allowed.ok()) return reply(HttpError(allowed));
    reply(HttpError(
        501, "NotImplemented",
        absl::StrCat("the AWS protocols are not there yet; gRPC listens on ", grpc_address())));
  };
}

}  // namespace barista::server
