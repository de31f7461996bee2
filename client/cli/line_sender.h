#ifndef BARISTA_CLIENT_CLI_LINE_SENDER_H_
#define BARISTA_CLIENT_CLI_LINE_SENDER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/call_window.h"
#include "client/cli/line_reader.h"
#include "client/cli/output.h"
#include "client/queue_client.h"

namespace barista::cli {

// Sends every line of an input as a message of its own, many in one call and several calls in
// flight.
//
// A line leaves as soon as the input has nothing more to read and a call is free, so that a pipe
// that trickles is not held back. Empty lines are skipped. A refused line is reported and the rest
// goes on; a line refused because the broker is full for now (IntakeFull) is sent again, with a
// growing pause, for up to kRetryFor. Lines may overtake one another between calls, unless
// `in_order`. Memory: kCallsInFlight calls.
class LineSender {
 public:
  static constexpr int kCallsInFlight = 4;
  static constexpr absl::Duration kRetryFor = absl::Seconds(30);

  struct Counts {
    int64_t sent = 0;
    int64_t skipped_empty = 0;
    int64_t refused = 0;
  };

  // `prototype` is the message without its body. All but the prototype is borrowed.
  LineSender(client::QueueClient& client, Output& output, std::string queue,
             v1::SendMessageEntry prototype, bool in_order);

  // Sends until the input ends. An error that is not of a single line ends it early: then up to as
  // many lines as are in flight may or may not be stored, which is noted. May be called once.
  absl::Status Run(LineReader& input);

  const Counts& counts() const { return counts_; }

 private:
  struct Call : client::SendMessageCall {
    std::vector<int64_t> lines;  // their numbers, one per entry
  };

  // Adds a line to the batch, after sending the batch if the line does not fit.
  void Add(LineReader::Line line);
  void SendBatch();
  // Takes the result of a call that has ended.
  void Settle(std::unique_ptr<Call> call);
  // Takes the result of one line; true if the line is to be sent again.
  bool SettleLine(const absl::Status& status, int64_t line);
  bool HasRoom() const { return window_.in_flight() < (in_order_ ? 1 : kCallsInFlight); }

  client::QueueClient& client_;
  Output& output_;
  const std::string queue_;
  const v1::SendMessageEntry prototype_;
  const size_t prototype_bytes_;  // what the attributes add to the size of each message
  const bool in_order_;

  Counts counts_;
  absl::Status failure_;  // of the first call that failed as a whole
  std::unique_ptr<Call> batch_;
  size_t batch_bytes_ = 0;
  absl::Time retrying_since_ = absl::InfiniteFuture();
  absl::Duration pause_ = absl::ZeroDuration();
  Progress progress_;
  client::CallWindow<Call> window_;
};

}  // namespace barista::cli

#endif  // BARISTA_CLIENT_CLI_LINE_SENDER_H_
