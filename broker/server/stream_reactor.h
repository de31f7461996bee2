#ifndef BROKER_SERVER_STREAM_REACTOR_H_
#define BROKER_SERVER_STREAM_REACTOR_H_

#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>
#include <grpcpp/support/server_callback.h>
#include <grpcpp/support/status.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

#include "broker/server/drain_list.h"
#include "broker/server/executor.h"
#include "broker/server/grpc_calls.h"
#include "broker/server/strand.h"

namespace barista::server {

// A bidirectional stream as a state machine without locks: everything that happens to it, also on
// the engine's threads, is an event on its strand, and after the events that have come the stream
// says what is next. At most one read and one write are under way, and no thread waits for either.
//
// `Stream` derives from StreamReactor<Stream, Request, Response> and has, for the strand only:
//
//   void OnRequest(const Request&)    a request has come
//   void OnMalformed()                bytes that are no Request have come; no request follows
//   void OnWritten(bool ok)           the response has left, or never will (then also: gone())
//   bool WantsRequest() const         back-pressure: whether another one may come
//   bool FillResponse(Response*)      what there is to tell into an empty response; false: nothing
//   void OnTurn()                     after events: starts what can be started
//   std::optional<grpc::Status> End() after that: set if the stream is to end with it
//
// It owns itself: Begin() in the handler, gone some time after OnDone, when nobody posts to it any
// more. After the end events still run, but nothing is read, written or asked; the drain list waits
// for them.
template <typename Stream, typename Request, typename Response>
class StreamReactor : public grpc::ServerBidiReactor<Request, Response>,
                      public std::enable_shared_from_this<Stream> {
 public:
  // What a stream needs of its server, which outlives it.
  struct Server {
    DrainList* drains;
    Executor* executor;
    GrpcCall counted;
  };

  ~StreamReactor() override { server_.drains->Leave(); }

  // In the handler, once.
  static grpc::ServerBidiReactor<Request, Response>* Begin(std::shared_ptr<Stream> stream) {
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
  // An unknown field that a request has while it waits to be read: parsing clears it.
  static constexpr int kUnread = 1;
  static constexpr size_t kKeptBytes = 256 << 10;

  void OnReadDone(bool ok) override {
    Post([ok](Stream& stream) {
      stream.reading_ = false;
      if (ok) {
        stream.OnRequest(stream.request_);
      } else {
        stream.closed_ = true;
        // gRPC tells a request that it cannot parse as the end of requests.
        const Request& request = stream.request_;
        if (request.GetReflection()->GetUnknownFields(request).empty()) stream.OnMalformed();
      }
      const size_t bytes = ok ? stream.request_.ByteSizeLong() : kKeptBytes;
      Reuse(bytes, &stream.request_, &stream.request_bytes_);
    });
  }
  void OnWriteDone(bool ok) override {
    Post([ok](Stream& stream) {
      stream.writing_ = false;
      Reuse(static_cast<size_t>(stream.response_.GetCachedSize()), &stream.response_,
            &stream.response_bytes_);
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

  // Empties a frame of `bytes`. Each part of it keeps the memory of the largest that it has held,
  // so it is made anew before all together can hold much more than kKeptBytes.
  template <typename Frame>
  static void Reuse(size_t bytes, Frame* frame, size_t* bytes_since) {
    *bytes_since += bytes;
    if (*bytes_since < kKeptBytes) return frame->Clear();
    *frame = Frame();
    *bytes_since = 0;
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
      request_.GetReflection()->MutableUnknownFields(&request_)->AddVarint(kUnread, 1);
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

  // Of the frames that they have had since they were made.
  size_t request_bytes_ = 0, response_bytes_ = 0;
  Request request_;
  Response response_;
  bool reading_ = false;
  bool writing_ = false;
  bool closed_ = false;
  bool gone_ = false;
  bool draining_ = false;
  bool ended_ = false;
};

}  // namespace barista::server

#endif  // BROKER_SERVER_STREAM_REACTOR_H_
