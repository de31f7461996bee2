#include "bench/grpc/raw_client.h"

#include <utility>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"

namespace barista::bench {

struct RawClient::PendingCall {
  grpc::ClientContext context;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
  grpc::ByteBuffer reply;
  grpc::Status status;
  Done done;
};

RawClient::RawClient(const Options& options) {
  for (int i = 0; i < options.channels; ++i) {
    grpc::ChannelArguments arguments;
    // Channels to one address share a connection unless each has its own pool.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetMaxReceiveMessageSize(64 << 20);
    channels_.push_back(
        grpc::CreateCustomChannel(options.address, grpc::InsecureChannelCredentials(), arguments));
    stubs_.push_back(std::make_unique<grpc::GenericStub>(channels_.back()));
  }
  for (int i = 0; i < options.threads; ++i) {
    completion_queues_.push_back(std::make_unique<grpc::CompletionQueue>());
    threads_.emplace_back([this, queue = completion_queues_.back().get()] {
      void* tag = nullptr;
      for (bool ok = false; queue->Next(&tag, &ok);) {
        std::unique_ptr<PendingCall> call(static_cast<PendingCall*>(tag));
        call->done(call->status, call->reply);
        call.reset();
        if (under_way_.fetch_sub(1, std::memory_order_release) == 1) under_way_.notify_all();
      }
    });
  }
}

RawClient::~RawClient() {
  for (int64_t n; (n = under_way_.load(std::memory_order_acquire)) != 0;) {
    under_way_.wait(n, std::memory_order_acquire);
  }
  for (auto& queue : completion_queues_) queue->Shutdown();
  for (auto& thread : threads_) thread.join();
}

bool RawClient::WaitForConnection(absl::Duration timeout) {
  const auto deadline = absl::ToChronoTime(absl::Now() + timeout);
  for (auto& channel : channels_) {
    if (!channel->WaitForConnected(deadline)) return false;
  }
  return true;
}

void RawClient::Call(const std::string& method, const grpc::ByteBuffer& request,
                     absl::Time deadline, Done done) {
  const uint32_t turn = next_.fetch_add(1, std::memory_order_relaxed);
  auto* call = new PendingCall;
  call->done = std::move(done);
  if (deadline != absl::InfiniteFuture()) {
    call->context.set_deadline(absl::ToChronoTime(deadline));
  }
  under_way_.fetch_add(1, std::memory_order_relaxed);
  call->reader = stubs_[turn % stubs_.size()]->PrepareUnaryCall(
      &call->context, method, request, completion_queues_[turn % completion_queues_.size()].get());
  call->reader->StartCall();
  call->reader->Finish(&call->reply, &call->status, call);
}

absl::Status CallAndWait(RawClient& client, const std::string& method,
                         const grpc::ByteBuffer& request, grpc::ByteBuffer* reply,
                         absl::Duration timeout) {
  absl::Status result;
  absl::Notification ended;
  client.Call(method, request, absl::Now() + timeout,
              [&](const grpc::Status& status, grpc::ByteBuffer& bytes) {
                result = FromGrpcStatus(status);
                *reply = bytes;
                ended.Notify();
              });
  ended.WaitForNotification();
  return result;
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  // The codes of both are the same numbers.
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace barista::bench
