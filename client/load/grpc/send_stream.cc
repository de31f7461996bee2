#include "client/load/grpc/send_stream.h"

#include <algorithm>
#include <utility>

#include "client/load/grpc/entries.h"

namespace barista::load {

std::vector<absl::Status> StreamFailures::Take(uint64_t first, size_t count) {
  std::vector<absl::Status> statuses(count);
  for (const Failure& failure : failures_) {
    const uint64_t begin = std::max(failure.first, first);
    const uint64_t end = std::min(failure.first + failure.count, first + count);
    for (uint64_t number = begin; number < end; ++number) {
      statuses[number - first] = failure.status;
    }
  }
  failures_.erase(std::remove_if(failures_.begin(), failures_.end(),
                                 [&](const Failure& failure) {
                                   return failure.first + failure.count <= first + count;
                                 }),
                  failures_.end());
  return statuses;
}

SendStream::SendStream(const Connections& connections, size_t connection,
                       std::function<void(const absl::Status&)> on_failure)
    : connections_(connections),
      on_failure_(std::move(on_failure)),
      call_(
          [&](grpc::ClientContext* context, Call::Reactor* reactor) {
            connections.stub(connection).async()->SendStream(context, reactor);
          },
          [this](const v1::SendStreamResponse& response) { OnResponse(response); },
          [this](const grpc::Status& status) { OnEnd(status); }) {}

void SendStream::Send(const std::string& queue, absl::Span<const absl::string_view> bodies,
                      const SendHow& how, LoadTarget::Done done) {
  v1::SendStreamRequest request;
  request.set_queue(queue);
  AddEntries(bodies, how, request);
  std::unique_lock<std::mutex> lock(mutex_);
  if (!end_.ok()) {
    std::vector<absl::Status> statuses(bodies.size(), end_);
    lock.unlock();
    done(std::move(statuses));
    return;
  }
  entries_ += bodies.size();
  pending_.push_back({entries_, bodies.size(), std::move(done)});
  call_.Write(std::move(request));
}

void SendStream::OnResponse(const v1::SendStreamResponse& response) {
  std::vector<std::pair<LoadTarget::Done, std::vector<absl::Status>>> settled;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    failures_.Add(response);
    while (!pending_.empty() && pending_.front().last <= response.settled()) {
      Pending& pending = pending_.front();
      settled.emplace_back(std::move(pending.done),
                           failures_.Take(pending.last - pending.count + 1, pending.count));
      pending_.pop_front();
    }
  }
  for (auto& [done, statuses] : settled) done(std::move(statuses));
}

void SendStream::OnEnd(const grpc::Status& status) {
  absl::Status end = connections_.ToStatus(status);
  if (end.ok()) end = absl::UnavailableError("the broker ended the stream");
  std::deque<Pending> pending;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    end_ = end;
    pending.swap(pending_);
  }
  for (Pending& send : pending) send.done(std::vector<absl::Status>(send.count, end));
  if (!absl::IsCancelled(end)) on_failure_(end);
}

}  // namespace barista::load
