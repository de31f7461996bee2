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

// A call that waits for its commit. The messages stay in the request, which lives until the reactor
// has finished.
struct WaitingCall {
  grpc::ServerUnaryReactor* reactor;
  const SkeletonRequest* request;
  SkeletonReply* reply;
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

  void Submit(WaitingCall call) {
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
    std::vector<WaitingCall> calls;
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
      for (const WaitingCall& call : calls) {
        for (const SkeletonMessage& message : call.request->messages()) {
          const uint64_t number = ++last_number_;
          if (status.ok()) {
            status = batch.Put(MessagesFamily(*bare_), BareMessageKey(number), message.body());
          }
          call.reply->add_message_ids(absl::StrFormat("00000000-0000-4000-8000-%012x", number));
        }
      }
      if (status.ok()) status = bare_->db->Write(synced, &batch);
      const grpc::Status answer =
          status.ok() ? grpc::Status::OK : grpc::Status(grpc::UNAVAILABLE, status.ToString());
      for (const WaitingCall& call : calls) call.reactor->Finish(answer);
    }
  }

  std::unique_ptr<storage::BareRocksDb> bare_;
  uint64_t last_number_ = 0;  // the thread's
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<WaitingCall> waiting_;  // guarded by mutex_
  bool stop_ = false;                 // guarded by mutex_
  std::thread thread_;                // last: starts when the rest is there
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
    writer_.Submit({reactor, request, reply});
    return reactor;
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
