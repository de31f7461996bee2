#include "client/load/grpc/stream_target.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "client/load/grpc/consume_stream.h"
#include "client/load/grpc/send_stream.h"

namespace barista::load {
namespace {

// Batches that may be at a consumer, or on their way, while it works on one.
constexpr int kBatchesOfCredit = 8;
constexpr int kMostCredit = 100'000;

class StreamTarget final : public LoadTarget {
 public:
  explicit StreamTarget(std::unique_ptr<Connections> connections)
      : connections_(std::move(connections)) {}

  std::string name() const override { return "grpc streams"; }

  absl::Status CreateQueues(const std::vector<std::string>& names,
                            const std::map<std::string, std::string>& attributes) override {
    return connections_->CreateQueues(names, attributes);
  }

  absl::Status DeleteQueues() override {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      sends_.clear();
      consumes_.clear();
    }
    return connections_->DeleteQueues();
  }

  void Send(size_t queue, absl::Span<const absl::string_view> bodies, const SendHow& how,
            Done done) override {
    SendStreamOf(how.producer).Send(connections_->queue(queue), bodies, how, std::move(done));
  }

  void Receive(size_t queue, const ReceiveHow& how, Received received) override {
    ConsumeStream* stream = ConsumeStreamOf(queue, how);
    if (stream == nullptr) return received(std::make_unique<StreamBatch>());
    stream->Receive(how.max_messages, std::move(received));
  }

  void EndReceives() override {
    std::vector<ConsumeStream*> streams;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      receives_ended_ = true;
      for (const auto& [key, stream] : consumes_) streams.push_back(stream.get());
    }
    for (ConsumeStream* stream : streams) stream->EndReceives();
  }

  void Delete(size_t /*queue*/, std::unique_ptr<ReceivedBatch> batch, Done done) override {
    std::unique_ptr<StreamBatch> own(static_cast<StreamBatch*>(batch.release()));
    ConsumeStream* stream = own->stream;
    stream->Delete(std::move(own), std::move(done));
  }

  absl::Status failure() const override {
    std::lock_guard<std::mutex> lock(failure_mutex_);
    return failure_;
  }

 private:
  SendStream& SendStreamOf(int producer) {
    std::lock_guard<std::mutex> lock(mutex_);
    std::unique_ptr<SendStream>& stream = sends_[producer];
    if (stream == nullptr) {
      stream = std::make_unique<SendStream>(*connections_, streams_++, OnFailure());
    }
    return *stream;
  }

  // Null if receives have ended and there is none.
  ConsumeStream* ConsumeStreamOf(size_t queue, const ReceiveHow& how) {
    std::lock_guard<std::mutex> lock(mutex_);
    const std::pair<int, size_t> key{how.consumer, queue};
    if (receives_ended_ && consumes_.count(key) == 0) return nullptr;
    std::unique_ptr<ConsumeStream>& stream = consumes_[key];
    if (stream == nullptr) {
      const int credit = std::min(how.max_messages * kBatchesOfCredit, kMostCredit);
      stream = std::make_unique<ConsumeStream>(*connections_, streams_++,
                                               connections_->queue(queue), credit, OnFailure());
    }
    return stream.get();
  }

  std::function<void(const absl::Status&)> OnFailure() {
    return [this](const absl::Status& status) {
      std::lock_guard<std::mutex> lock(failure_mutex_);
      failure_.Update(status);
    };
  }

  const std::unique_ptr<Connections> connections_;
  mutable std::mutex failure_mutex_;
  absl::Status failure_;  // guarded by failure_mutex_; of the first stream that ended of itself

  std::mutex mutex_;  // guards what follows; the streams themselves need no lock
  bool receives_ended_ = false;
  size_t streams_ = 0;
  std::map<int, std::unique_ptr<SendStream>> sends_;
  std::map<std::pair<int, size_t>, std::unique_ptr<ConsumeStream>> consumes_;
};

}  // namespace

std::unique_ptr<LoadTarget> NewStreamTarget(std::unique_ptr<Connections> connections) {
  return std::make_unique<StreamTarget>(std::move(connections));
}

}  // namespace barista::load
