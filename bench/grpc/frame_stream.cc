#include "bench/grpc/frame_stream.h"

#include <grpcpp/generic/async_generic_service.h>

#include <utility>

namespace barista::bench {
namespace {

// Flow control as `barista serve` and its clients have it, for the floor too.
constexpr std::pair<const char*, int> kFlowControl[] = {
    {GRPC_ARG_HTTP2_BDP_PROBE, 0},
    {GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 4 << 20},
    {GRPC_ARG_HTTP2_MAX_FRAME_SIZE, 1 << 20},
};

}  // namespace

FrameStream::FrameStream(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                         OnFrame on_frame)
    : stub_(channel), on_frame_(std::move(on_frame)) {
  stub_.PrepareBidiStreamingCall(&context_, method, grpc::StubOptions(), this);
  AddHold();  // writes begin outside of reactions
  StartRead(&incoming_);
  StartCall();
}

FrameStream::~FrameStream() {
  context_.TryCancel();
  RemoveHold();
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return done_; });
}

void FrameStream::Write(const grpc::ByteBuffer& frame) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (broken_) return;
  outgoing_.push_back(frame);
  if (outgoing_.size() == 1) StartWrite(&outgoing_.front());
}

std::string FrameStream::error() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return error_;
}

void FrameStream::OnReadDone(bool ok) {
  if (!ok) {
    const std::lock_guard<std::mutex> lock(mutex_);
    broken_ = true;
    if (error_.empty()) error_ = "the stream ended";
    return;
  }
  on_frame_(incoming_);
  incoming_.Clear();
  StartRead(&incoming_);
}

void FrameStream::OnWriteDone(bool ok) {
  const std::lock_guard<std::mutex> lock(mutex_);
  outgoing_.pop_front();
  if (!ok) broken_ = true;
  if (!broken_ && !outgoing_.empty()) StartWrite(&outgoing_.front());
}

void FrameStream::OnDone(const grpc::Status& status) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!status.ok()) error_ = status.error_message();
  done_ = true;
  changed_.notify_all();
}

std::shared_ptr<grpc::Channel> ConnectTo(const std::string& address, const std::string& root) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(64 << 20);
  for (const auto& [name, value] : kFlowControl) arguments.SetInt(name, value);
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  if (root.empty()) {
    credentials = grpc::InsecureChannelCredentials();
  } else {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = root;
    credentials = grpc::SslCredentials(options);
  }
  return grpc::CreateCustomChannel(address, credentials, arguments);
}

// ---- Echo ----

class FrameEcho::Service final : public grpc::CallbackGenericService {
 public:
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext*) override {
    return new Reactor;
  }

 private:
  class Reactor final : public grpc::ServerGenericBidiReactor {
   public:
    Reactor() { StartRead(&frame_); }
    void OnReadDone(bool ok) override {
      if (!ok) return Finish(grpc::Status::OK);
      StartWrite(&frame_);
    }
    void OnWriteDone(bool ok) override {
      if (!ok) return Finish(grpc::Status::OK);
      frame_.Clear();
      StartRead(&frame_);
    }
    void OnDone() override { delete this; }

   private:
    grpc::ByteBuffer frame_;
  };
};

FrameEcho::FrameEcho() : service_(std::make_unique<Service>()) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
  builder.SetMaxReceiveMessageSize(8 << 20);
  for (const auto& [name, value] : kFlowControl) builder.AddChannelArgument(name, value);
  builder.RegisterCallbackGenericService(service_.get());
  server_ = builder.BuildAndStart();
}

FrameEcho::~FrameEcho() { server_->Shutdown(); }

}  // namespace barista::bench
