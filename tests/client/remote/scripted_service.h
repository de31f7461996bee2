#ifndef BARISTA_TESTS_CLIENT_REMOTE_SCRIPTED_SERVICE_H_
#define BARISTA_TESTS_CLIENT_REMOTE_SCRIPTED_SERVICE_H_

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "barista/v1/queue.grpc.pb.h"
#include "broker/server/grpc_status.h"

namespace barista::client {

// A service that answers as a test says, on a port of its own: for what a broker does rarely.
class ScriptedService final : public v1::QueueService::Service {
 public:
  using Stream = grpc::ServerReaderWriter<v1::SendStreamResponse, v1::SendStreamRequest>;

  ScriptedService() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.SetMaxReceiveMessageSize(8 << 20);  // as the broker
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~ScriptedService() override { server_->Shutdown(std::chrono::system_clock::now()); }
  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }

  using ConsumerStream =
      grpc::ServerReaderWriter<v1::ConsumeStreamResponse, v1::ConsumeStreamRequest>;

  // What each call answers, by the number of the call of its kind, from 1.
  std::function<grpc::Status(int call)> on_get;
  std::function<grpc::Status(int call)> on_delete;
  std::function<grpc::Status(int call)> on_purge;
  std::function<grpc::Status(int call, Stream* stream)> on_stream;
  std::function<grpc::Status(ConsumerStream* stream)> on_consume;
  std::atomic<int> gets{0};
  std::atomic<int> deletes{0};
  std::atomic<int> purges{0};
  std::atomic<int> streams{0};

  static grpc::Status Refusal(absl::StatusCode code, const std::string& reason) {
    return server::ToGrpcStatus(MakeError(code, reason, {.reason = reason}));
  }
  // Settles everything that `request` has; `*entries` counts those of the stream.
  static v1::SendStreamResponse Settle(const v1::SendStreamRequest& request, uint64_t* entries) {
    v1::SendStreamResponse response;
    for (int i = 0; i < request.entries_size(); ++i) {
      response.add_results()->set_message_id("5fea7756-0ea4-451a-a703-a558b933e274");
    }
    *entries += static_cast<uint64_t>(request.entries_size());
    response.set_settled(*entries);
    return response;
  }

 private:
  grpc::Status GetQueue(grpc::ServerContext*, const v1::GetQueueRequest* request,
                        v1::GetQueueResponse* response) override {
    response->mutable_queue()->set_name(request->queue());
    const int call = ++gets;
    return on_get ? on_get(call) : grpc::Status::OK;
  }
  grpc::Status DeleteMessage(grpc::ServerContext*, const v1::DeleteMessageRequest* request,
                             v1::DeleteMessageResponse* response) override {
    for (int i = 0; i < request->receipt_handles_size(); ++i) response->add_results();
    const int call = ++deletes;
    return on_delete ? on_delete(call) : grpc::Status::OK;
  }
  grpc::Status PurgeQueue(grpc::ServerContext*, const v1::PurgeQueueRequest*,
                          v1::PurgeQueueResponse*) override {
    const int call = ++purges;
    return on_purge ? on_purge(call) : grpc::Status::OK;
  }
  grpc::Status ConsumeStream(grpc::ServerContext*, ConsumerStream* stream) override {
    return on_consume(stream);
  }
  grpc::Status SendStream(grpc::ServerContext*, Stream* stream) override {
    const int call = ++streams;
    if (on_stream) return on_stream(call, stream);
    uint64_t entries = 0;
    v1::SendStreamRequest request;
    while (stream->Read(&request)) stream->Write(Settle(request, &entries));
    return grpc::Status::OK;
  }

  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace barista::client

#endif  // BARISTA_TESTS_CLIENT_REMOTE_SCRIPTED_SERVICE_H_
