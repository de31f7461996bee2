#ifndef BARISTA_BENCH_GRPC_RAW_CLIENT_H_
#define BARISTA_BENCH_GRPC_RAW_CLIENT_H_

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/byte_buffer.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"

namespace barista::bench {

// A gRPC client that costs little, so that on a small machine the server is what is measured:
// requests and replies are bytes that the caller made or reads, calls end on the threads of a few
// completion queues. Thread-safe.
class RawClient {
 public:
  struct Options {
    std::string address;  // HOST:PORT or unix:PATH
    int channels = 2;     // connections
    int threads = 1;      // completion queues, each with its thread
  };
  // Runs on a thread of the client; must be quick. May start calls.
  using Done = absl::AnyInvocable<void(const grpc::Status&, grpc::ByteBuffer&)>;

  explicit RawClient(const Options& options);
  // Waits for the calls under way.
  ~RawClient();

  // False if a channel did not connect within `timeout`.
  bool WaitForConnection(absl::Duration timeout);

  // Starts a unary call of `method` ("/package.Service/Method"), on a channel chosen in turn.
  // `deadline`: InfiniteFuture() for none.
  void Call(const std::string& method, const grpc::ByteBuffer& request, absl::Time deadline,
            Done done);

 private:
  struct PendingCall;

  std::vector<std::shared_ptr<grpc::Channel>> channels_;
  std::vector<std::unique_ptr<grpc::GenericStub>> stubs_;
  std::vector<std::unique_ptr<grpc::CompletionQueue>> completion_queues_;
  std::vector<std::thread> threads_;
  std::atomic<uint32_t> next_{0};  // written and read by all callers, relaxed: any spread will do
  std::atomic<int64_t> under_way_{
      0};  // callers add, threads subtract; the destructor waits for 0 (release / acquire)
};

// One call, waiting for its reply at most `timeout`.
absl::Status CallAndWait(RawClient& client, const std::string& method,
                         const grpc::ByteBuffer& request, grpc::ByteBuffer* reply,
                         absl::Duration timeout = absl::Seconds(10));

absl::Status FromGrpcStatus(const grpc::Status& status);

// `message` (any protobuf message) as bytes of the wire.
template <typename Message>
grpc::ByteBuffer ToByteBuffer(const Message& message) {
  const std::string bytes = message.SerializeAsString();
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

// False if `bytes` is not a Message.
template <typename Message>
bool FromByteBuffer(grpc::ByteBuffer& bytes, Message* message) {
  return grpc::SerializationTraits<Message>::Deserialize(&bytes, message).ok();
}

}  // namespace barista::bench

#endif  // BARISTA_BENCH_GRPC_RAW_CLIENT_H_
