#include "bench/load/grpc_target.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "barista/v1/queue.pb.h"
#include "bench/grpc/raw_client.h"
#include "bench/grpc/serve_process.h"

namespace barista::bench {
namespace {

// Calls get this much longer than they may wait at the server.
constexpr absl::Duration kPatience = absl::Seconds(30);

class GrpcBatch final : public ReceivedBatch {
 public:
  size_t size() const override { return static_cast<size_t>(response.messages_size()); }
  absl::string_view body(size_t index) const override {
    return response.messages(static_cast<int>(index)).body();
  }

  v1::ReceiveMessageResponse response;
};

// Results of `expected` entries from a reply that has an `error` in those which failed.
template <typename Response>
std::vector<absl::Status> Statuses(const grpc::Status& status, grpc::ByteBuffer& bytes,
                                   size_t expected) {
  if (!status.ok()) return std::vector<absl::Status>(expected, FromGrpcStatus(status));
  Response response;
  if (!FromByteBuffer(bytes, &response) ||
      static_cast<size_t>(response.results_size()) != expected) {
    return std::vector<absl::Status>(expected, absl::InternalError("malformed reply"));
  }
  std::vector<absl::Status> statuses;
  statuses.reserve(expected);
  for (const auto& result : response.results()) {
    statuses.push_back(result.has_error() ? absl::UnknownError(result.error().ShortDebugString())
                                          : absl::OkStatus());
  }
  return statuses;
}

class GrpcTarget final : public LoadTarget {
 public:
  explicit GrpcTarget(const RawClient::Options& options) : client_(options) {}

  std::string name() const override { return "grpc"; }
  bool Connect() { return client_.WaitForConnection(absl::Seconds(10)); }

  absl::Status CreateQueues(const std::vector<std::string>& names,
                            const std::map<std::string, std::string>& attributes) override {
    queues_ = names;
    for (const std::string& queue : names) {
      if (absl::Status status = CreateQueue(client_, queue, attributes); !status.ok()) {
        return status;
      }
    }
    return absl::OkStatus();
  }

  void Send(size_t queue, absl::Span<const absl::string_view> bodies, const SendHow& how,
            Done done) override {
    v1::SendMessageRequest request;
    request.set_queue(queues_[queue]);
    for (const absl::string_view body : bodies) {
      auto* entry = request.add_entries();
      entry->set_body(body.data(), body.size());
      if (how.delay > absl::ZeroDuration())
        entry->mutable_delay()->set_seconds(absl::ToInt64Seconds(how.delay));
      if (how.group_id.has_value()) entry->set_group_id(std::string(*how.group_id));
    }
    client_.Call("/barista.v1.QueueService/SendMessage", ToByteBuffer(request),
                 absl::Now() + kPatience,
                 [done = std::move(done), n = bodies.size()](const grpc::Status& status,
                                                             grpc::ByteBuffer& bytes) mutable {
                   done(Statuses<v1::SendMessageResponse>(status, bytes, n));
                 });
  }

  void Receive(size_t queue, int max_messages, absl::Duration wait, Received received) override {
    v1::ReceiveMessageRequest request;
    request.set_queue(queues_[queue]);
    request.set_max_messages(max_messages);
    const int64_t wait_ms = absl::ToInt64Milliseconds(wait);
    request.mutable_wait()->set_seconds(wait_ms / 1000);
    request.mutable_wait()->set_nanos(static_cast<int32_t>(wait_ms % 1000 * 1'000'000));
    client_.Call("/barista.v1.QueueService/ReceiveMessage", ToByteBuffer(request),
                 absl::Now() + wait + kPatience,
                 [received = std::move(received)](const grpc::Status& status,
                                                  grpc::ByteBuffer& bytes) mutable {
                   auto batch = std::make_unique<GrpcBatch>();
                   if (!status.ok()) {
                     received(FromGrpcStatus(status));
                   } else if (!FromByteBuffer(bytes, &batch->response)) {
                     received(absl::InternalError("malformed reply"));
                   } else {
                     received(std::move(batch));
                   }
                 });
  }

  void Delete(size_t queue, std::unique_ptr<ReceivedBatch> batch, Done done) override {
    v1::DeleteMessageRequest request;
    request.set_queue(queues_[queue]);
    for (const v1::Message& message : static_cast<GrpcBatch&>(*batch).response.messages()) {
      request.add_receipt_handles(message.receipt_handle());
    }
    client_.Call("/barista.v1.QueueService/DeleteMessage", ToByteBuffer(request),
                 absl::Now() + kPatience,
                 [done = std::move(done), n = batch->size()](const grpc::Status& status,
                                                             grpc::ByteBuffer& bytes) mutable {
                   done(Statuses<v1::DeleteMessageResponse>(status, bytes, n));
                 });
  }

 private:
  std::vector<std::string> queues_;
  RawClient client_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<LoadTarget>> NewGrpcTarget(const std::string& address,
                                                          int channels) {
  auto target =
      std::make_unique<GrpcTarget>(RawClient::Options{.address = address, .channels = channels});
  if (!target->Connect()) {
    return absl::UnavailableError(absl::StrCat("no connection to ", address, " within 10 s"));
  }
  return target;
}

}  // namespace barista::bench
