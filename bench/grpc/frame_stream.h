#ifndef BARISTA_BENCH_GRPC_FRAME_STREAM_H_
#define BARISTA_BENCH_GRPC_FRAME_STREAM_H_

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/byte_buffer.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

namespace barista::bench {

// The client's side of a bidirectional stream that costs little: frames are bytes that the caller
// made or reads. Thread-safe.
class FrameStream final : private grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  // Runs on a thread of gRPC, one at a time; must be quick. May write.
  using OnFrame = std::function<void(grpc::ByteBuffer&)>;

  FrameStream(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
              OnFrame on_frame);
  // Cancels, and waits for the end.
  ~FrameStream();

  // Queues a frame. What is queued is the caller's to bound.
  void Write(const grpc::ByteBuffer& frame);
  // Empty while the stream lives; else why it ended.
  std::string error() const;

 private:
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

  grpc::ClientContext context_;
  grpc::GenericStub stub_;
  const OnFrame on_frame_;
  grpc::ByteBuffer incoming_;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<grpc::ByteBuffer> outgoing_;  // the first one is being written
  bool broken_ = false;
  bool done_ = false;
  std::string error_;
};

// A connection of its own, plain or trusting the certificate `root` (PEM).
std::shared_ptr<grpc::Channel> ConnectTo(const std::string& address, const std::string& root = "");

// A server on 127.0.0.1 that sends every frame of every stream back: the floor of streams. Runs
// until the process ends.
class FrameEcho {
 public:
  FrameEcho();
  ~FrameEcho();
  int port() const { return port_; }

 private:
  class Service;
  std::unique_ptr<Service> service_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

}  // namespace barista::bench

#endif  // BARISTA_BENCH_GRPC_FRAME_STREAM_H_
