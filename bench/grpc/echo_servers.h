#ifndef BARISTA_BENCH_GRPC_ECHO_SERVERS_H_
#define BARISTA_BENCH_GRPC_ECHO_SERVERS_H_

#include <memory>
#include <string>

namespace barista::bench {

// How a server that answers at once is built: what api_style_bench compares.
struct EchoServerOptions {
  enum class Style {
    kCallback,         // generated callback service, the default reactor
    kCallbackArena,    // the same with requests and replies on a protobuf arena of the call
                       // (MessageAllocator)
    kCompletionQueue,  // generated async service, call objects reused
  };
  Style style = Style::kCallback;
  int completion_queues = 2;  // each with `threads_per_queue` threads; completion-queue style only
  int threads_per_queue = 1;
  int calls_per_queue = 256;  // waiting requests kept posted; completion-queue style only
  int quota_threads = 0;      // ResourceQuota::SetMaxThreads; 0: none
};

// A running server on 127.0.0.1; stops when destroyed.
class EchoServer {
 public:
  virtual ~EchoServer() = default;
  virtual int port() const = 0;
};

std::unique_ptr<EchoServer> StartEchoServer(const EchoServerOptions& options);

}  // namespace barista::bench

#endif  // BARISTA_BENCH_GRPC_ECHO_SERVERS_H_
