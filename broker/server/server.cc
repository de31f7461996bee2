#include "broker/server/server.h"

#include <grpcpp/alarm.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "broker/server/admin/admin_handler.h"
#include "broker/server/admin/metrics.h"
#include "broker/server/admin_service.h"
#include "broker/server/call_metrics.h"
#include "broker/server/executor.h"
#include "broker/server/grpc_calls.h"
#include "broker/server/heartbeat.h"
#include "broker/server/http_server.h"
#include "broker/server/listen_address.h"
#include "broker/server/queue_service.h"
#include "broker/server/receive_call.h"
#include "broker/server/reflection_guard.h"
#include "broker/server/security/grpc_acceptor.h"
#include "broker/server/security/grpc_credentials.h"

namespace barista::server {
namespace {

constexpr int kMaxRequestBytes = 8 << 20;
constexpr int kExecutorThreads = 2;
// What a client may send on a connection before it is read, and the largest frame of HTTP/2. Fixed:
// gRPC 1.51's own estimate (the BDP probe) now and then leaves a new connection that sends
// megabytes standing still for ten seconds. It makes frames large, too; without it we ask for large
// ones.
constexpr int kWindowBytes = 4 << 20;
constexpr int kHttp2FrameBytes = 1 << 20;
// A peer that is gone without a word is noticed after about this long, and its receives are given
// up.
constexpr int kKeepaliveMs = 30'000;
constexpr int kKeepaliveTimeoutMs = 20'000;
// A connection that has not finished its handshake by then is closed.
constexpr int kHandshakeTimeoutMs = 20'000;
// Clients may ping this often, also while nothing is under way, before they are told off.
constexpr int kMinClientPingMs = 5'000;

// Reads the address of a listener and applies the rule of access: only if `open` may it be one that
// other machines reach.
absl::StatusOr<ListenAddress> CheckAddress(absl::string_view field, const std::string& text,
                                           bool unix_allowed, bool open) {
  absl::StatusOr<ListenAddress> address = ParseListenAddress(text);
  std::string wrong;
  if (!address.ok()) {
    wrong = std::string(address.status().message());
  } else if (!unix_allowed && !address->unix_path.empty()) {
    wrong = absl::StrCat("\"", text, "\" is a Unix socket; expected HOST:PORT");
  } else if (!address->is_loopback && !open) {
    wrong = absl::StrCat("\"", text,
                         "\" can be reached from other machines, and there is no authentication; "
                         "give --token-file, or --tls-client-ca with --tls-cert and --tls-key, or "
                         "listen on a loopback address, or allow it with --insecure");
  } else {
    return address;
  }
  return MakeError(absl::StatusCode::kInvalidArgument, absl::StrCat(field, ": ", wrong),
                   {.reason = "InvalidParameterValue", .field = std::string(field), .value = text});
}

absl::Status CheckMetricsQueues(int queues) {
  if (queues >= 0 && queues <= kMaxSurveyedQueues) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kInvalidArgument,
      absl::StrCat("metrics_queues is ", queues, "; limit [0, ", kMaxSurveyedQueues, "]"),
      {.reason = "InvalidParameterValue",
       .field = "metrics_queues",
       .value = absl::StrCat(queues),
       .limit = absl::StrCat("[0, ", kMaxSurveyedQueues, "]")});
}

class ServerImpl final : public Server {
 public:
  explicit ServerImpl(const ServerOptions& options)
      : options_(options), executor_(kExecutorThreads), acceptor_(options.security.connections) {
    if (options_.manual_clock) {
      clock_ = std::make_unique<ManualClock>(absl::Now());
      options_.broker.clock = clock_.get();
    }
  }

  ~ServerImpl() override { Shutdown().IgnoreError(); }

  absl::Status Start() {
    const Clock* const clock = clock_ != nullptr ? clock_.get() : Clock::System();
    absl::StatusOr<std::unique_ptr<Security>> security = Security::Open(options_.security, clock);
    if (!security.ok()) return security.status();
    security_ = *std::move(security);
    Access* const access = &security_->access();

    const bool open = options_.insecure || options_.security.authenticates();
    const auto http = CheckAddress("http_listen", options_.http_listen, false, open);
    if (!http.ok()) return http.status();
    const auto admin = CheckAddress("admin_listen", options_.admin_listen, false, open);
    if (!admin.ok()) return admin.status();
    const auto grpc = CheckAddress("grpc_listen", options_.grpc_listen, true, open);
    if (!grpc.ok()) return grpc.status();

    absl::Status metrics_queues = CheckMetricsQueues(options_.metrics_queues);
    if (!metrics_queues.ok()) return metrics_queues;

    absl::StatusOr<std::unique_ptr<Broker>> broker = Broker::Open(options_.broker);
    if (!broker.ok()) return broker.status();
    broker_ = *std::move(broker);
    if (absl::Status status = SetUpQueues(options_.queues, broker_.get()); !status.ok()) {
      return status;
    }

    http_ = std::make_unique<HttpServer>(options_.security.connections, security_->tls());
    metrics_ = std::make_unique<Metrics>(broker_.get(), &calls_, http_.get(),
                                         &acceptor_.connections(), options_.metrics_queues);
    admin_handler_ = std::make_unique<AdminHandler>(broker_.get(), metrics_.get(), &executor_,
                                                    access, clock_.get(), &draining_);
    const auto http_bound =
        http_->Listen(*http, NoAwsProtocolsYet(access, [this] { return grpc_address_; }));
    if (!http_bound.ok()) return http_bound.status();
    const auto admin_bound = http_->Listen(*admin, [this](HttpRequest request, HttpReply reply) {
      admin_handler_->Handle(std::move(request), std::move(reply));
    });
    if (!admin_bound.ok()) return admin_bound.status();
    http_address_ = http_bound->ToString();
    admin_address_ = admin_bound->ToString();

    if (absl::Status status = StartGrpc(*grpc); !status.ok()) return status;
    http_->Start();
    AddProbes();
    return absl::OkStatus();
  }

  const std::string& http_address() const override { return http_address_; }
  const std::string& admin_address() const override { return admin_address_; }
  const std::string& grpc_address() const override { return grpc_address_; }
  Broker& broker() override { return *broker_; }
  ManualClock* manual_clock() override { return clock_.get(); }

  absl::Status Reload() override { return security_->Reload(); }

  absl::Status Reconfigure(const ServerOptions& options) override {
    absl::Status checked = CheckMetricsQueues(options.metrics_queues);
    if (!checked.ok()) return checked;
    const std::vector<std::string> wrong =
        CheckQueues(options.queues, broker_->options(), broker_.get());
    if (!wrong.empty()) return WrongQueues(wrong);
    acceptor_.SetLimits(options.security.connections);
    http_->SetLimits(options.security.connections);
    security_->SetLimits(options.security);
    metrics_->set_queues(options.metrics_queues);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      options_.drain_time = options.drain_time;
    }
    return SetUpQueues(options.queues, broker_.get());
  }

  std::vector<std::string> SilentParts() override { return heartbeat_.Beat(); }

  void Drain() override {
    draining_.store(true, std::memory_order_relaxed);
    if (grpc_ != nullptr && grpc_->GetHealthCheckService() != nullptr) {
      grpc_->GetHealthCheckService()->SetServingStatus(false);
    }
    drains_.DrainAll();
  }

  absl::Status Shutdown() override {
    absl::Duration drain_time;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      if (shutdown_begun_) {
        changed_.wait(lock, [this] { return shutdown_done_; });
        return closed_;
      }
      shutdown_begun_ = true;
      drain_time = options_.drain_time;
    }
    Drain();
    acceptor_.Stop();
    if (grpc_ != nullptr) {
      // Returns when the last call has ended: nothing of gRPC uses what is closed below.
      grpc_->Shutdown(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(drain_time));
    }
    drains_.WaitUntilLeft();
    if (http_ != nullptr) http_->Stop();
    executor_.Stop();
    absl::Status closed = broker_ != nullptr ? broker_->Close() : absl::OkStatus();
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = closed;
    shutdown_done_ = true;
    changed_.notify_all();
    return closed;
  }

  void Wait() override {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return shutdown_done_; });
  }

 private:
  void AddProbes() {
    heartbeat_.Add("committer", [this](std::function<void()> answered) {
      broker_->Ping(std::move(answered));
      return true;
    });
    heartbeat_.Add("executor", [this](std::function<void()> answered) {
      return executor_.TrySubmit(std::move(answered));
    });
    heartbeat_.Add("HTTP", [this](std::function<void()> answered) {
      http_->Ping(std::move(answered));
      return true;
    });
    // A timer of gRPC's, whose answer comes on the threads that serve its calls.
    heartbeat_.Add("gRPC", [this](std::function<void()> answered) {
      alarm_ = std::make_unique<grpc::Alarm>();
      alarm_->Set(std::chrono::system_clock::now(),
                  [answered = std::move(answered)](bool) { answered(); });
      return true;
    });
  }

  absl::Status StartGrpc(const ListenAddress& address) {
    const absl::StatusOr<ListenAddress> bound = acceptor_.Listen(address);
    if (!bound.ok()) return bound.status();
    service_ = std::make_unique<QueueService>(broker_.get(), &executor_, &security_->access(),
                                              &drains_, &grpc_calls_);
    service_->set_url_prefix(
        absl::StrCat("http://", http_address_, "/", options_.broker.account, "/"));

    admin_service_ = std::make_unique<AdminService>(broker_.get(), &executor_, &security_->access(),
                                                    &grpc_calls_);

    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::ServerBuilder builder;
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                               kMinClientPingMs);
    builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeTimeoutMs);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options_.security.max_streams);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kWindowBytes);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, kHttp2FrameBytes);
    builder.SetMaxReceiveMessageSize(kMaxRequestBytes);
    if (security_->access().active()) {
      std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> guards;
      guards.push_back(MakeReflectionGuard(&security_->access()));
      builder.experimental().SetInterceptorCreators(std::move(guards));
    }
    auto connections = builder.experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
        security_->tls() != nullptr ? MakeGrpcCredentials(security_->tls())
                                    : grpc::InsecureServerCredentials());
    builder.RegisterService(service_.get());
    builder.RegisterService(admin_service_.get());
    grpc_ = builder.BuildAndStart();
    if (grpc_ == nullptr) {
      return absl::UnavailableError(
          absl::StrCat("cannot listen on ", address.ToString(), ": gRPC does not start"));
    }
    grpc_address_ = bound->ToString();
    grpc_->GetHealthCheckService()->SetServingStatus(v1::QueueService::service_full_name(), true);
    grpc_->GetHealthCheckService()->SetServingStatus(v1::AdminService::service_full_name(), true);
    acceptor_.Start(std::move(connections));
    return absl::OkStatus();
  }

  ServerOptions options_;  // drain_time is guarded by mutex_
  std::unique_ptr<ManualClock> clock_;
  std::unique_ptr<Broker> broker_;
  Executor executor_;
  DrainList drains_;
  // Who drains stores it, once; /readyz loads it. It publishes nothing else, so relaxed is enough:
  // late by a request at worst.
  std::atomic<bool> draining_ = false;
  std::unique_ptr<Security> security_;
  CallMetrics calls_{
      {v1::QueueService::service_full_name(), v1::AdminService::service_full_name()}};
  GrpcCalls grpc_calls_{&calls_};
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<AdminHandler> admin_handler_;
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<QueueService> service_;
  std::unique_ptr<AdminService> admin_service_;
  GrpcAcceptor acceptor_;
  std::unique_ptr<grpc::Server> grpc_;
  Heartbeat heartbeat_;
  std::unique_ptr<grpc::Alarm> alarm_;  // of the heartbeat
  std::string http_address_, admin_address_, grpc_address_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool shutdown_begun_ = false;  // guarded by mutex_, as the two below
  bool shutdown_done_ = false;
  absl::Status closed_;
};

}  // namespace

std::vector<std::string> Server::Check(const ServerOptions& options) {
  std::vector<std::string> wrong = CheckQueues(options.queues, options.broker, nullptr);
  const auto add = [&wrong](const absl::Status& status) {
    if (!status.ok()) wrong.emplace_back(status.message());
  };
  // Each by itself, so that all are told.
  SecurityOptions tokens, certificates;
  tokens.token_file = options.security.token_file;
  certificates.tls = options.security.tls;
  add(Security::Open(tokens, Clock::System()).status());
  add(Security::Open(certificates, Clock::System()).status());
  const bool open = options.insecure || options.security.authenticates();
  add(CheckAddress("http_listen", options.http_listen, false, open).status());
  add(CheckAddress("admin_listen", options.admin_listen, false, open).status());
  add(CheckAddress("grpc_listen", options.grpc_listen, true, open).status());
  add(CheckMetricsQueues(options.metrics_queues));
  return wrong;
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options) {
  auto server = std::make_unique<ServerImpl>(options);
  const absl::Status started = server->Start();
  if (!started.ok()) return started;
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace barista::server
