#include "bench/grpc/skeleton_server.h"

#include <grpcpp/grpcpp.h>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "bench/floors/bare_rocksdb.h"
#include "bench/grpc/skeleton.grpc.pb.h"

namespace barista::bench {
namespace {

// Messages that wait for their commit; they last until Committed has been called.
class Waiting {
 public:
  virtual ~Waiting() = default;
  virtual const SkeletonRequest& request() const = 0;
  // On the writer's thread, before the commit: message i of the request has `number`.
  virtual void Numbered(int i, uint64_t number) = 0;
  virtual void Committed(const grpc::Status& status) = 0;
};

class Writer {
 public:
  explicit Writer(std::unique_ptr<storage::BareRocksDb> bare)
      : bare_(std::move(bare)), thread_([this] { Run(); }) {}

  ~Writer() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  void Submit(Waiting* call) {
    bool was_empty;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      was_empty = waiting_.empty();
      waiting_.push_back(call);
    }
    if (was_empty) wake_.notify_one();
  }

 private:
  void Run() {
    std::vector<Waiting*> calls;
    rocksdb::WriteBatch batch;
    rocksdb::WriteOptions synced;
    synced.sync = true;
    for (;;) {
      calls.clear();
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [this] { return stop_ || !waiting_.empty(); });
        if (waiting_.empty()) return;
        calls.swap(waiting_);
      }
      batch.Clear();
      rocksdb::Status status;
      for (Waiting* call : calls) {
        const SkeletonRequest& request = call->request();
        for (int i = 0; i < request.messages_size(); ++i) {
          const uint64_t number = ++last_number_;
          if (status.ok()) {
            status = batch.Put(MessagesFamily(*bare_), BareMessageKey(number),
                               request.messages(i).body());
          }
          call->Numbered(i, number);
        }
      }
      if (status.ok()) status = bare_->db->Write(synced, &batch);
      const grpc::Status answer =
          status.ok() ? grpc::Status::OK : grpc::Status(grpc::UNAVAILABLE, status.ToString());
      for (Waiting* call : calls) call->Committed(answer);
    }
  }

  std::unique_ptr<storage::BareRocksDb> bare_;
  uint64_t last_number_ = 0;  // the thread's
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Waiting*> waiting_;  // guarded by mutex_
  bool stop_ = false;              // guarded by mutex_
  std::thread thread_;             // last: starts when the rest is there
};

class UnaryCall final : public Waiting {
 public:
  UnaryCall(grpc::ServerUnaryReactor* reactor, const SkeletonRequest* request, SkeletonReply* reply)
      : reactor_(reactor), request_(request), reply_(reply) {}
  const SkeletonRequest& request() const override { return *request_; }
  void Numbered(int, uint64_t number) override {
    reply_->add_message_ids(absl::StrFormat("00000000-0000-4000-8000-%012x", number));
  }
  void Committed(const grpc::Status& status) override {
    reactor_->Finish(status);
    delete this;
  }

 private:
  grpc::ServerUnaryReactor* const reactor_;
  const SkeletonRequest* const request_;
  SkeletonReply* const reply_;
};

// Requests go to the writer as they come, up to kMaxWaiting; a commit that ends while an
// acknowledgement is being written is told with the next one.
class Stream final : public grpc::ServerBidiReactor<SkeletonRequest, SkeletonAcknowledgement> {
 public:
  explicit Stream(Writer* writer) : writer_(writer) { Read(); }

  void OnReadDone(bool ok) override {
    if (ok) {
      writer_->Submit(new Request(this, std::move(incoming_)));
      incoming_ = SkeletonRequest();
      const std::lock_guard<std::mutex> lock(mutex_);
      reading_ = ++waiting_ < kMaxWaiting;
      if (reading_) Read();
      return;
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    FinishIfDone();
  }
  void OnWriteDone(bool) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    writing_ = false;
    Tell();
  }
  void OnDone() override {
    // Who finished may still hold it.
    { const std::lock_guard<std::mutex> lock(mutex_); }
    delete this;
  }

 private:
  static constexpr int kMaxWaiting = 64;

  class Request final : public Waiting {
   public:
    Request(Stream* stream, SkeletonRequest request)
        : stream_(stream), request_(std::move(request)) {}
    const SkeletonRequest& request() const override { return request_; }
    void Numbered(int, uint64_t) override {}
    void Committed(const grpc::Status& status) override {
      stream_->Committed(request_.messages_size(), status);
      delete this;
    }

   private:
    Stream* const stream_;
    const SkeletonRequest request_;
  };

  void Read() { StartRead(&incoming_); }
  void Committed(int messages, const grpc::Status& status) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (status.ok()) committed_ += static_cast<uint64_t>(messages);
    --waiting_;
    Tell();
    if (!reading_ && !closed_ && waiting_ < kMaxWaiting) {
      reading_ = true;
      Read();
    }
  }
  // Under the mutex.
  void Tell() {
    if (!writing_ && committed_ > told_) {
      told_ = committed_;
      acknowledgement_.set_messages(told_);
      writing_ = true;
      StartWrite(&acknowledgement_);
    }
    FinishIfDone();
  }
  void FinishIfDone() {
    if (closed_ && !writing_ && waiting_ == 0 && !finished_) {
      finished_ = true;
      Finish(grpc::Status::OK);
    }
  }

  Writer* const writer_;
  SkeletonRequest incoming_;
  SkeletonAcknowledgement acknowledgement_;
  std::mutex mutex_;  // guards what follows
  bool reading_ = true, writing_ = false, closed_ = false, finished_ = false;
  int waiting_ = 0;
  uint64_t committed_ = 0, told_ = 0;
};

class CallbackSkeletonServer final : public SkeletonServer, private Skeleton::CallbackService {
 public:
  explicit CallbackSkeletonServer(std::unique_ptr<storage::BareRocksDb> bare)
      : writer_(std::move(bare)) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.SetMaxReceiveMessageSize(8 << 20);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~CallbackSkeletonServer() override {
    if (server_ != nullptr) server_->Shutdown();
  }
  int port() const override { return port_; }

 private:
  grpc::ServerUnaryReactor* SendMessage(grpc::CallbackServerContext* context,
                                        const SkeletonRequest* request,
                                        SkeletonReply* reply) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    writer_.Submit(new UnaryCall(reactor, request, reply));
    return reactor;
  }
  grpc::ServerBidiReactor<SkeletonRequest, SkeletonAcknowledgement>* SendStream(
      grpc::CallbackServerContext*) override {
    return new Stream(&writer_);
  }

  Writer writer_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<SkeletonServer>> SkeletonServer::Start(const std::string& dir) {
  auto bare = OpenFloor(dir);
  if (!bare.ok()) return bare.status();
  auto server = std::make_unique<CallbackSkeletonServer>(*std::move(bare));
  if (server->port() == 0) return absl::UnavailableError("cannot listen on 127.0.0.1");
  return server;
}

}  // namespace barista::bench
