#include "broker/server/call_metrics.h"

#include <google/protobuf/descriptor.h>
#include <grpcpp/support/status_code_enum.h>
#include <prometheus/histogram.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "broker/server/admin/metric_family.h"

namespace barista::server {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;
using Steady = std::chrono::steady_clock;

// By the number of the code; what is not one of gRPC's counts as UNKNOWN.
constexpr std::array<const char*, 17> kCodes = {
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
};

// Of call durations, in seconds.
constexpr std::array<double, 17> kBounds = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                            0.01,   0.025,   0.05,   0.1,   0.25,   0.5,
                                            1,      2.5,     5,      10,    30};

}  // namespace

class CallMetrics::Method {
 public:
  Method(std::string name, bool streams) : name(std::move(name)), streams(streams) {}

  void Begin() { open_.fetch_add(1, std::memory_order_relaxed); }
  void End(grpc::StatusCode code, Steady::duration took) {
    const auto index = static_cast<size_t>(code) < kCodes.size() ? code : grpc::StatusCode::UNKNOWN;
    calls_[index].fetch_add(1, std::memory_order_relaxed);
    seconds_.Observe(std::chrono::duration<double>(took).count());
    open_.fetch_sub(1, std::memory_order_relaxed);
  }

  int64_t open() const { return open_.load(std::memory_order_relaxed); }
  uint64_t calls(size_t code) const { return calls_[code].load(std::memory_order_relaxed); }
  prometheus::ClientMetric seconds() const { return seconds_.Collect(); }

  const std::string name;  // "barista.v1.QueueService/SendMessage"
  const bool streams;

 private:
  // Written by gRPC's threads at the begin and the end of calls, read by Collect; relaxed: they
  // publish nothing.
  std::atomic<int64_t> open_{0};
  std::array<std::atomic<uint64_t>, kCodes.size()> calls_{};
  prometheus::Histogram seconds_{{kBounds.begin(), kBounds.end()}};
};

void CallMetrics::Call::End(const grpc::Status& status) const {
  method_->End(status.error_code(), Steady::now() - begin_);
}

absl::string_view CallMetrics::Call::method() const { return method_->name; }

CallMetrics::CallMetrics(const std::vector<std::string>& services) {
  const auto* const pool = google::protobuf::DescriptorPool::generated_pool();
  for (const std::string& name : services) {
    const google::protobuf::ServiceDescriptor* const service = pool->FindServiceByName(name);
    for (int i = 0; i < service->method_count(); ++i) {
      const google::protobuf::MethodDescriptor& method = *service->method(i);
      methods_.push_back(
          std::make_unique<Method>(absl::StrCat(name, "/", method.name()),
                                   method.client_streaming() || method.server_streaming()));
    }
  }
  for (const auto& method : methods_) by_name_.emplace(method->name, method.get());
}

CallMetrics::~CallMetrics() = default;

CallMetrics::Call CallMetrics::Begin(absl::string_view method) const {
  Method* const found = by_name_.at(method);
  found->Begin();
  return Call(found);
}

std::vector<MetricFamily> CallMetrics::Collect() const {
  MetricFamily calls =
      Family("barista_grpc_calls_total", "Calls that have ended.", MetricType::Counter);
  MetricFamily seconds = Family("barista_grpc_call_duration_seconds",
                                "Time from the start of a call to its status, waiting included.",
                                MetricType::Histogram);
  MetricFamily open =
      Family("barista_grpc_open_calls", "Calls that have not ended.", MetricType::Gauge);
  int64_t streams = 0;
  for (const auto& method : methods_) {
    for (size_t code = 0; code < kCodes.size(); ++code) {
      const uint64_t n = method->calls(code);
      if (n == 0 && code != grpc::StatusCode::OK) continue;
      AddCounter({{"method", method->name}, {"code", kCodes[code]}}, static_cast<double>(n),
                 &calls);
    }
    prometheus::ClientMetric histogram = method->seconds();
    histogram.label = {{"method", method->name}};
    seconds.metric.push_back(std::move(histogram));
    AddGauge({{"method", method->name}}, static_cast<double>(method->open()), &open);
    if (method->streams) streams += method->open();
  }
  return {std::move(calls), std::move(seconds), std::move(open),
          SingleGauge("barista_grpc_open_streams", "Streams that have not ended.",
                      static_cast<double>(streams))};
}

}  // namespace barista::server
