#ifndef BROKER_SERVER_ADMIN_ADMIN_HANDLER_H_
#define BROKER_SERVER_ADMIN_ADMIN_HANDLER_H_

#include <atomic>
#include <functional>
#include <string>

#include "barista/broker.h"
#include "barista/clock.h"
#include "broker/server/access.h"
#include "broker/server/admin/metrics.h"
#include "broker/server/executor.h"
#include "broker/server/http_server.h"

namespace barista::server {

// The administration port. Thread-safe; what it is given outlives it.
//
//   GET  /healthz                             200 while the process answers
//   GET  /readyz                              200, or 503 while draining or refusing writes
//   GET  /metrics                             text format of Prometheus
//   GET  /metrics?queue=NAME                  the same of one queue; or of many: ?prefix=PREFIX
//   GET  /admin/queues/NAME/messages?max=10   peek, 1 to 1000: {"messages":[...]}, oldest first
//   POST /admin/clock/advance {"seconds":N}   {"now":TIME}; only with a manual clock, N in [0, 10
//   years]
//
// Where there are tokens, health and readiness are open, metrics take any token, a peek takes the
// role receive on its queue and all else admin on every queue: 401 without a token, 403 without the
// role, 429 for too many requests. Everything else is 404, a wrong method 405 with Allow, a wrong
// parameter 400; errors are {"error":{"reason","message",...}}. What may block runs on the
// executor; if that is full, the answer is 503.
class AdminHandler {
 public:
  // `draining`: who drains writes it once, readyz reads it; nothing else is published by it.
  // `clock` may be null.
  AdminHandler(Broker* broker, const Metrics* metrics, Executor* executor, Access* access,
               ManualClock* clock, const std::atomic<bool>* draining);

  void Handle(HttpRequest request, HttpReply reply);

 private:
  HttpResponse Ready() const;
  HttpResponse ShowMetrics(const HttpRequest& request) const;
  HttpResponse AdvanceClock(const HttpRequest& request);
  HttpResponse Peek(const std::string& queue, const HttpRequest& request);

  Broker* const broker_;
  const Metrics* const metrics_;
  Executor* const executor_;
  Access* const access_;
  ManualClock* const clock_;
  const std::atomic<bool>* const draining_;
};

// The HTTP port while it has no protocol yet: 501 to everybody who may call it at all.
// `grpc_address` is called per request. `access` outlives the handler.
HttpHandler NoAwsProtocolsYet(Access* access, std::function<std::string()> grpc_address);

}  // namespace barista::server

#endif  // BROKER_SERVER_ADMIN_ADMIN_HANDLER_H_
