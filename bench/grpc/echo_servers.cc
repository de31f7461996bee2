#include "bench/grpc/echo_servers.h"

#include <google/protobuf/arena.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/support/message_allocator.h>

#include <optional>
#include <thread>
#include <vector>

#include "bench/grpc/skeleton.grpc.pb.h"

namespace barista::bench {
namespace {

// What both styles do for a call: an id for each message, as a broker would answer.
void Answer(const SkeletonRequest& request, SkeletonReply* reply) {
  for (int i = 0; i < request.messages_size(); ++i) {
    reply->add_message_ids("5fea7756-0ea4-451a-a703-a558b933e274");
  }
}

// Request and reply of a call on one arena, freed together at its end.
class ArenaAllocator final : public grpc::MessageAllocator<SkeletonRequest, SkeletonReply> {
 public:
  class Holder final : public grpc::MessageHolder<SkeletonRequest, SkeletonReply> {
   public:
    Holder() {
      set_request(google::protobuf::Arena::CreateMessage<SkeletonRequest>(&arena_));
      set_response(google::protobuf::Arena::CreateMessage<SkeletonReply>(&arena_));
    }
    void Release() override { delete this; }

   private:
    google::protobuf::Arena arena_;
  };
  grpc::MessageHolder<SkeletonRequest, SkeletonReply>* AllocateMessages() override {
    return new Holder;
  }
};

class CallbackEcho final : public Skeleton::CallbackService {
  grpc::ServerUnaryReactor* SendMessage(grpc::CallbackServerContext* context,
                                        const SkeletonRequest* request,
                                        SkeletonReply* reply) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    Answer(*request, reply);
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

class CallbackServer final : public EchoServer {
 public:
  CallbackServer(const EchoServerOptions& options, grpc::ServerBuilder& builder, int* port)
      : port_(port) {
    if (options.style == EchoServerOptions::Style::kCallbackArena) {
      service_.SetMessageAllocatorFor_SendMessage(&allocator_);
    }
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
  }
  ~CallbackServer() override { server_->Shutdown(); }
  int port() const override { return *port_; }

 private:
  ArenaAllocator allocator_;
  CallbackEcho service_;
  std::unique_ptr<grpc::Server> server_;
  int* port_;
};

class CompletionQueueServer final : public EchoServer {
 public:
  CompletionQueueServer(const EchoServerOptions& options, grpc::ServerBuilder& builder, int* port)
      : port_(port) {
    builder.RegisterService(&service_);
    for (int i = 0; i < options.completion_queues; ++i) {
      queues_.push_back(builder.AddCompletionQueue());
    }
    server_ = builder.BuildAndStart();
    for (auto& queue : queues_) {
      for (int i = 0; i < options.calls_per_queue; ++i) (new Call(&service_, queue.get()))->Post();
      for (int i = 0; i < options.threads_per_queue; ++i) {
        threads_.emplace_back([queue = queue.get()] {
          void* tag = nullptr;
          for (bool ok = false; queue->Next(&tag, &ok);) static_cast<Call*>(tag)->Proceed(ok);
        });
      }
    }
  }
  ~CompletionQueueServer() override {
    server_->Shutdown();
    for (auto& queue : queues_) queue->Shutdown();
    for (auto& thread : threads_) thread.join();
  }
  int port() const override { return *port_; }

 private:
  // One call after the other: posted, answered, finished, posted again.
  class Call {
   public:
    Call(Skeleton::AsyncService* service, grpc::ServerCompletionQueue* queue)
        : service_(service), queue_(queue) {}
    void Post() {
      // Context and writer serve one call only; the messages keep their memory.
      writer_.reset();
      context_.emplace();
      writer_.emplace(&*context_);
      request_.Clear();
      reply_.Clear();
      answered_ = false;
      service_->RequestSendMessage(&*context_, &request_, &*writer_, queue_, queue_, this);
    }
    void Proceed(bool ok) {
      if (!ok && !answered_) {  // shutting down
        delete this;
      } else if (answered_) {
        Post();
      } else {
        answered_ = true;
        Answer(request_, &reply_);
        writer_->Finish(reply_, grpc::Status::OK, this);
      }
    }

   private:
    Skeleton::AsyncService* service_;
    grpc::ServerCompletionQueue* queue_;
    std::optional<grpc::ServerContext> context_;
    std::optional<grpc::ServerAsyncResponseWriter<SkeletonReply>> writer_;
    SkeletonRequest request_;
    SkeletonReply reply_;
    bool answered_ = false;
  };

  Skeleton::AsyncService service_;
  std::vector<std::unique_ptr<grpc::ServerCompletionQueue>> queues_;
  std::unique_ptr<grpc::Server> server_;
  std::vector<std::thread> threads_;
  int* port_;
};

}  // namespace

std::unique_ptr<EchoServer> StartEchoServer(const EchoServerOptions& options) {
  static int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  if (options.quota_threads > 0) {
    grpc::ResourceQuota quota("bench");
    quota.SetMaxThreads(options.quota_threads);
    builder.SetResourceQuota(quota);
  }
  if (options.style == EchoServerOptions::Style::kCompletionQueue) {
    return std::make_unique<CompletionQueueServer>(options, builder, &port);
  }
  return std::make_unique<CallbackServer>(options, builder, &port);
}

}  // namespace barista::bench
