// A fixed number of messages through send, receive and delete, by one thread and in batches: work
// that is the same in every run, for a profiler that counts instructions (bench/profile.sh).
//
//   cycle_profile [--messages 20000] [--body 1024] [--batch 10] [--durability memory|os|fsync]

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "barista/broker.h"
#include "bench/common/scratch_dir.h"

namespace barista::bench {
namespace {

absl::Status Cycle(Queue& queue, int64_t messages, const std::string& body, int batch) {
  const std::vector<OutgoingMessage> outgoing(static_cast<size_t>(batch),
                                              OutgoingMessage{.body = body});
  std::vector<ReceiptHandle> handles;
  for (int64_t done = 0; done < messages; done += batch) {
    for (const auto& sent : queue.SendBatch(outgoing)) {
      if (!sent.ok()) return sent.status();
    }
    const auto received = queue.Receive({.max_messages = batch});
    if (!received.ok()) return received.status();
    if (received->size() != outgoing.size()) return absl::InternalError("received too few");
    handles.clear();
    for (const ReceivedMessage& m : *received) handles.push_back(m.receipt_handle);
    for (const absl::Status& deleted : queue.DeleteBatch(handles)) {
      if (!deleted.ok()) return deleted;
    }
  }
  return absl::OkStatus();
}

absl::Status Run(int64_t messages, int body_bytes, int batch, const std::string& durability) {
  const auto attributes = ParseQueueAttributes({{"Durability", durability}});
  if (!attributes.ok()) return attributes.status();
  ScratchDir dir;
  BrokerOptions options;
  if (*attributes->durability != Durability::kMemory) options.data_dir = dir / "data";
  auto broker = Broker::Open(options);
  if (!broker.ok()) return broker.status();
  auto queue = (*broker)->CreateQueue("q", *attributes);
  if (!queue.ok()) return queue.status();
  return Cycle(*queue, messages, std::string(static_cast<size_t>(body_bytes), 'x'), batch);
}

}  // namespace
}  // namespace barista::bench

int main(int argc, char** argv) {
  int64_t messages = 20'000;
  int body = 1024;
  int batch = 10;
  std::string durability = "memory";
  CLI::App app("Does a fixed amount of work, for a profiler");
  app.add_option("--messages", messages, "Messages")->check(CLI::PositiveNumber);
  app.add_option("--body", body, "Bytes of a body")->check(CLI::Range(1, 1 << 18));
  app.add_option("--batch", batch, "Messages of a call")->check(CLI::Range(1, 1000));
  app.add_option("--durability", durability, "memory, os or fsync");
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = barista::bench::Run(messages, body, batch, durability);
  if (!status.ok()) std::fprintf(stderr, "cycle_profile: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
