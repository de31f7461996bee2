#include "client/load/grpc/consume_stream.h"

#include <algorithm>
#include <utility>

namespace barista::load {

ConsumeStream::ConsumeStream(const Connections& connections, size_t connection,
                             const std::string& queue, int credit,
                             std::function<void(const absl::Status&)> on_failure)
    : connections_(connections),
      on_failure_(std::move(on_failure)),
      call_(
          [&](grpc::ClientContext* context, Call::Reactor* reactor) {
            connections.stub(connection).async()->ConsumeStream(context, reactor);
          },
          [this](v1::ConsumeStreamResponse& response) { OnResponse(response); },
          [this](const grpc::Status& status) { OnEnd(status); }) {
  v1::ConsumeStreamRequest request;
  request.mutable_start()->set_queue(queue);
  request.set_credit(static_cast<uint32_t>(credit));
  std::lock_guard<std::mutex> lock(mutex_);
  ++requests_;
  call_.Write(std::move(request));
}

std::unique_ptr<StreamBatch> ConsumeStream::TakeBatch(int max_messages) {
  auto batch = std::make_unique<StreamBatch>();
  const size_t count = std::min(messages_.size(), static_cast<size_t>(max_messages));
  batch->stream = this;
  batch->first_delivery = first_delivery_;
  batch->messages.assign(std::make_move_iterator(messages_.begin()),
                         std::make_move_iterator(messages_.begin() + static_cast<int64_t>(count)));
  messages_.erase(messages_.begin(), messages_.begin() + static_cast<int64_t>(count));
  first_delivery_ += count;
  return batch;
}

void ConsumeStream::Receive(int max_messages, LoadTarget::Received received) {
  absl::StatusOr<std::unique_ptr<ReceivedBatch>> result;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!messages_.empty()) {
      result = TakeBatch(max_messages);
    } else if (!end_.ok()) {
      result = end_;
    } else if (receives_ended_) {
      result = std::make_unique<StreamBatch>();
    } else {
      waiting_.push_back({max_messages, std::move(received)});
      return;
    }
  }
  received(std::move(result));
}

void ConsumeStream::EndReceives() {
  std::deque<Waiting> waiting;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    receives_ended_ = true;
    waiting.swap(waiting_);
  }
  for (Waiting& receive : waiting) receive.received(std::make_unique<StreamBatch>());
}

void ConsumeStream::Delete(std::unique_ptr<StreamBatch> batch, LoadTarget::Done done) {
  const size_t count = batch->size();
  v1::ConsumeStreamRequest request;
  request.set_credit(static_cast<uint32_t>(count));
  v1::DeliveryRange* range = request.add_deletes();
  range->set_first(batch->first_delivery);
  range->set_count(count);
  std::unique_lock<std::mutex> lock(mutex_);
  if (!end_.ok()) {
    std::vector<absl::Status> statuses(count, end_);
    lock.unlock();
    done(std::move(statuses));
    return;
  }
  deletions_.push_back({++requests_, batch->first_delivery, count, std::move(done)});
  call_.Write(std::move(request));
}

void ConsumeStream::OnResponse(v1::ConsumeStreamResponse& response) {
  std::vector<std::pair<LoadTarget::Done, std::vector<absl::Status>>> settled;
  std::vector<std::pair<LoadTarget::Received, std::unique_ptr<StreamBatch>>> received;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    failures_.Add(response);
    while (!deletions_.empty() && deletions_.front().request <= response.settled()) {
      Deletion& deletion = deletions_.front();
      settled.emplace_back(std::move(deletion.done),
                           failures_.Take(deletion.first_delivery, deletion.count));
      deletions_.pop_front();
    }
    for (v1::Message& message : *response.mutable_messages()) {
      messages_.push_back(std::move(message));
    }
    while (!waiting_.empty() && !messages_.empty()) {
      received.emplace_back(std::move(waiting_.front().received),
                            TakeBatch(waiting_.front().max_messages));
      waiting_.pop_front();
    }
  }
  for (auto& [done, statuses] : settled) done(std::move(statuses));
  for (auto& [callback, batch] : received) callback(std::move(batch));
}

void ConsumeStream::OnEnd(const grpc::Status& status) {
  absl::Status end = connections_.ToStatus(status);
  if (end.ok()) end = absl::UnavailableError("the broker ended the stream");
  std::deque<Waiting> waiting;
  std::deque<Deletion> deletions;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    end_ = end;
    waiting.swap(waiting_);
    deletions.swap(deletions_);
  }
  for (Deletion& deletion : deletions) {
    deletion.done(std::vector<absl::Status>(deletion.count, end));
  }
  for (Waiting& receive : waiting) receive.received(end);
  if (!absl::IsCancelled(end)) on_failure_(end);
}

}  // namespace barista::load
