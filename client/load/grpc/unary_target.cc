#include "client/load/grpc/unary_target.h"

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "client/load/grpc/entries.h"

namespace barista::load {
namespace {

class UnaryBatch final : public ReceivedBatch {
 public:
  size_t size() const override { return static_cast<size_t>(response.messages_size()); }
  absl::string_view body(size_t index) const override {
    return response.messages(static_cast<int>(index)).body();
  }

  v1::ReceiveMessageResponse response;
};

// The results of `expected` entries.
template <typename Response>
std::vector<absl::Status> Statuses(const absl::Status& status, const Response& response,
                                   size_t expected) {
  if (!status.ok()) return std::vector<absl::Status>(expected, status);
  if (static_cast<size_t>(response.results_size()) != expected) {
    return std::vector<absl::Status>(expected, absl::InternalError("malformed reply"));
  }
  std::vector<absl::Status> statuses(expected);
  for (size_t i = 0; i < expected; ++i) {
    const auto& result = response.results(static_cast<int>(i));
    if (result.has_error()) statuses[i] = client::FromError(result.error());
  }
  return statuses;
}

// A call with all that lives as long as it; deletes itself.
template <typename Request, typename Response>
struct Call {
  grpc::ClientContext context;
  Request request;
  Response response;
  LoadTarget::Done done;
  size_t entries = 0;
};

class UnaryTarget final : public LoadTarget {
 public:
  explicit UnaryTarget(std::unique_ptr<Connections> connections)
      : connections_(std::move(connections)) {}

  ~UnaryTarget() override {
    std::unique_lock<std::mutex> lock(mutex_);
    ended_call_.wait(lock, [this] { return under_way_ == 0; });
  }

  std::string name() const override { return "grpc"; }

  absl::Status CreateQueues(const std::vector<std::string>& names,
                            const std::map<std::string, std::string>& attributes) override {
    return connections_->CreateQueues(names, attributes);
  }
  absl::Status DeleteQueues() override { return connections_->DeleteQueues(); }

  void Send(size_t queue, absl::Span<const absl::string_view> bodies, const SendHow& how,
            Done done) override {
    auto* call = new Call<v1::SendMessageRequest, v1::SendMessageResponse>;
    call->request.set_queue(connections_->queue(queue));
    AddEntries(bodies, how, call->request);
    call->entries = bodies.size();
    call->done = std::move(done);
    connections_->SetDeadline(call->context, absl::ZeroDuration());
    Begin();
    connections_->next_stub().async()->SendMessage(
        &call->context, &call->request, &call->response,
        [this, call](const grpc::Status& status) { Finish(call, status); });
  }

  void Receive(size_t queue, const ReceiveHow& how, Received received) override {
    struct ReceiveCall {
      grpc::ClientContext context;
      v1::ReceiveMessageRequest request;
      std::unique_ptr<UnaryBatch> batch = std::make_unique<UnaryBatch>();
      Received received;
    };
    auto* call = new ReceiveCall;
    call->request.set_queue(connections_->queue(queue));
    call->request.set_max_messages(how.max_messages);
    call->received = std::move(received);
    Begin();
    const bool waits = BeginWaiting(&call->context);
    const absl::Duration wait = waits ? how.wait : absl::ZeroDuration();
    SetDuration(wait, call->request.mutable_wait());
    connections_->SetDeadline(call->context, wait);
    connections_->next_stub().async()->ReceiveMessage(
        &call->context, &call->request, &call->batch->response,
        [this, call](const grpc::Status& status) {
          std::unique_ptr<ReceiveCall> owned(call);
          EndWaiting(&call->context);
          if (status.ok()) {
            owned->received(std::move(owned->batch));
          } else if (status.error_code() == grpc::StatusCode::CANCELLED) {
            owned->received(std::make_unique<UnaryBatch>());
          } else {
            owned->received(connections_->ToStatus(status));
          }
          owned.reset();
          End();
        });
  }

  void EndReceives() override {
    std::lock_guard<std::mutex> lock(mutex_);
    receives_ended_ = true;
    for (grpc::ClientContext* context : waiting_) context->TryCancel();
  }

  void Delete(size_t queue, std::unique_ptr<ReceivedBatch> batch, Done done) override {
    auto* call = new Call<v1::DeleteMessageRequest, v1::DeleteMessageResponse>;
    call->request.set_queue(connections_->queue(queue));
    for (const v1::Message& message : static_cast<UnaryBatch&>(*batch).response.messages()) {
      call->request.add_receipt_handles(message.receipt_handle());
    }
    call->entries = batch->size();
    call->done = std::move(done);
    connections_->SetDeadline(call->context, absl::ZeroDuration());
    Begin();
    connections_->next_stub().async()->DeleteMessage(
        &call->context, &call->request, &call->response,
        [this, call](const grpc::Status& status) { Finish(call, status); });
  }

 private:
  template <typename Request, typename Response>
  void Finish(Call<Request, Response>* call, const grpc::Status& status) {
    std::unique_ptr<Call<Request, Response>> owned(call);
    owned->done(Statuses(connections_->ToStatus(status), owned->response, owned->entries));
    owned.reset();
    End();
  }

  void Begin() {
    std::lock_guard<std::mutex> lock(mutex_);
    ++under_way_;
  }
  // The last thing that a call does: the destructor waits for it.
  void End() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (--under_way_ == 0) ended_call_.notify_all();
  }
  // A context may be cancelled from here on, also before its call has begun. False if receives wait
  // no longer.
  bool BeginWaiting(grpc::ClientContext* context) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!receives_ended_) waiting_.insert(context);
    return !receives_ended_;
  }
  void EndWaiting(grpc::ClientContext* context) {
    std::lock_guard<std::mutex> lock(mutex_);
    waiting_.erase(context);
  }

  const std::unique_ptr<Connections> connections_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable ended_call_;
  int64_t under_way_ = 0;
  bool receives_ended_ = false;
  std::set<grpc::ClientContext*> waiting_;
};

}  // namespace

std::unique_ptr<LoadTarget> NewUnaryTarget(std::unique_ptr<Connections> connections) {
  return std::make_unique<UnaryTarget>(std::move(connections));
}

}  // namespace barista::load
