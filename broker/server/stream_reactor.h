#ifndef BROKER_SERVER_STREAM_REACTOR_H_
#define BROKER_SERVER_STREAM_REACTOR_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>
#include <grpcpp/support/status.h>

#include <memory>
#include <optional>
#include <utility>

#include "broker/server/drain_list.h"
#include "broker/server/executor.h"
#include "broker/server/grpc_calls.h"
#include "broker/server/strand.h"

namespace barista::server {

// A stream of gRPC whose frames are bytes.
using RawStream = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;

// A bidirectional stream as a state machine without locks: everything that happens to it, also on
// the engine's threads, is an event on its strand, and after the events that have come the stream
// says what is next. At most one read and one write are under way, and no thread waits for either.
//
// Requests and responses are the bytes of the wire: who reads a frame with a hundred bodies need
// not copy them into objects first.
//
// `Stream` derives from StreamReactor<Stream> and has, for the strand only:
//
//   void OnRequest(grpc::ByteBuffer*) a request has come; its bytes go when this returns
//   void OnWritten(bool ok)           the response has left, or never will (then also: gone())
//   bool WantsRequest() const         back-pressure: whether another one may come
//   bool FillResponse(ByteBuffer*)    what there is to tell into an empty buffer; false: nothing
//   void OnTurn()                     after events: starts what can be started
//   std::optional<grpc::Status> End() after that: set if the stream is to end with it
//
// It owns itself: Begin() in the handler, gone some time after OnDone, when nobody posts to it any
// more. After the end events still run, but nothing is read, written or asked; the drain list waits
// for them.
template <typename Stream>
class StreamReactor : public RawStream, public std::enable_shared_from_this<Stream> {
 public:
  // What a stream needs of its server, which outlives it.
  struct Server {
    DrainList* drains;
    Executor* executor;
    GrpcCall counted;
  };

  ~StreamReactor() override { server_.drains->Leave(); }

  // In the handler, once.
  static RawStream* Begin(std::shared_ptr<Stream> stream) {
    StreamReactor& reactor = *stream;
    reactor.self_ = stream;
    // (Before the handler has returned nothing can end the stream.)
    reactor.server_.drains->Add(stream.get(), [weak = std::weak_ptr<Stream>(stream)] {
      if (const std::shared_ptr<Stream> self = weak.lock()) {
        self->Post([](Stream& s) { s.draining_ = true; });
      }
    });
    stream->Post([](Stream&) {});
    return stream.get();
  }

 protected:
  explicit StreamReactor(const Server& server) : server_(server), strand_([this] { Turn(); }) {
    server_.drains->Enter();
  }

  // Runs `event(stream)` on the strand. From any thread of gRPC, also within an event.
  template <typename Event>
  void Post(Event event) {
    const std::shared_ptr<Stream> self = this->shared_from_this();
    strand_.Post([self, event = std::move(event)]() mutable { event(*self); });
  }
  // The same from the engine's threads, which have other streams to serve.
  template <typename Event>
  void PostFromEngine(Event event) {
    const std::shared_ptr<Stream> self = this->shared_from_this();
    strand_.PostBriefly(
        [self, event = std::move(event)]() mutable { event(*self); },
        [self, executor = server_.executor](Strand::Event run) {
          return executor->TrySubmit([self, run = std::move(run)]() mutable { run(); });
        });
  }

  // The rest is the strand's.

  // The client has closed its side: no request comes any more.
  bool closed() const { return closed_; }
  // Nobody is there any more, or the stream has ended: nothing can be told.
  bool gone() const { return gone_ || ended_; }
  bool draining() const { return draining_; }
  bool writing() const { return writing_; }

 private:
  friend Stream;

  void OnReadDone(bool ok) override {
    Post([ok](Stream& stream) {
      stream.reading_ = false;
      if (ok) {
        stream.OnRequest(&stream.request_);
        stream.request_.Clear();
      } else {
        stream.closed_ = true;
      }
    });
  }
  void OnWriteDone(bool ok) override {
    Post([ok](Stream& stream) {
      stream.writing_ = false;
      stream.response_.Clear();
      if (!ok) stream.gone_ = true;
      stream.OnWritten(ok);
    });
  }
  void OnCancel() override {
    Post([](Stream& stream) { stream.gone_ = true; });
  }
  void OnDone() override {
    server_.drains->Remove(static_cast<Stream*>(this));
    // Not on the strand: events may be running, and they hold a share of their own.
    const std::shared_ptr<Stream> last = std::move(self_);
  }

  void Turn() {
    Stream& stream = static_cast<Stream&>(*this);
    stream.OnTurn();
    // (What was started may have been answered at once: first hear what, then tell all in one.)
    if (ended_ || strand_.HasWaiting()) return;
    if (!writing_ && !gone_ && stream.FillResponse(&response_)) {
      writing_ = true;
      this->StartWrite(&response_);
    }
    if (!reading_ && !closed_ && !gone_ && stream.WantsRequest()) {
      reading_ = true;
      this->StartRead(&request_);
    }
    if (std::optional<grpc::Status> end = stream.End()) {
      ended_ = true;
      server_.counted.End(*end);
      this->Finish(*std::move(end));  // OnDone may run before it returns
    }
  }

  const Server server_;
  Strand strand_;
  std::shared_ptr<Stream> self_;  // until OnDone

  grpc::ByteBuffer request_, response_;
  bool reading_ = false;
  bool writing_ = false;
  bool closed_ = false;
  bool gone_ = false;
  bool draining_ = false;
  bool ended_ = false;
};

}  // namespace barista::server

#endif  // BROKER_SERVER_STREAM_REACTOR_H_
