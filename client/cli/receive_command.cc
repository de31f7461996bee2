// barista receive

#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "barista/error.h"
#include "barista/queue.h"
#include "client/call_window.h"
#include "client/cli/interrupt.h"
#include "client/cli/message_format.h"
#include "client/cli/session.h"

namespace barista::cli {
namespace {

// Messages of one receive of --all and --follow that does not say --max.
constexpr int kBatch = 100;
// How long one receive of --follow waits.
constexpr absl::Duration kFollowWait = absl::Seconds(20);
constexpr int kDeletesInFlight = 4;
// Between attempts of --follow to reach a broker that is away.
constexpr absl::Duration kFirstPause = absl::Milliseconds(50);
constexpr absl::Duration kLongestPause = absl::Seconds(1);

struct ReceiveFlags {
  std::string queue;
  std::optional<int> max;
  std::optional<absl::Duration> wait, visibility;
  bool remove = false;
  bool all = false;
  bool follow = false;
};

google::protobuf::Duration ToProto(absl::Duration duration) {
  google::protobuf::Duration proto;
  proto.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  proto.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
  return proto;
}

// Whether a broker that answered before is away, perhaps for a restart only.
bool IsAway(const absl::Status& status) {
  return ExitCodeFor(status) == kNotReachable || GetErrorInfo(status).reason == "ServerDraining";
}

// Receives, prints and deletes until there is an end. A message is deleted only after it has left
// the process through standard output, and deletes run while the next receive does.
class Receiver {
 public:
  Receiver(Session& session, const ReceiveFlags& flags)
      : session_(session),
        flags_(flags),
        // On a terminal the messages themselves are seen coming.
        progress_(isatty(STDOUT_FILENO) == 1 ? nullptr : std::make_unique<Progress>("received")),
        deletes_([&session](std::unique_ptr<client::DeleteMessageCall> call, Deletes::Done done) {
          session.client().StartDeleteMessage(std::move(call), std::move(done));
        }) {
    request_.set_queue(flags.queue);
    const bool repeats = flags.all || flags.follow;
    request_.set_max_messages(flags.max.value_or(repeats ? kBatch : 1));
    if (flags.wait.has_value() || repeats) {
      const absl::Duration wait = flags.follow ? kFollowWait : absl::ZeroDuration();
      *request_.mutable_wait() = ToProto(flags.wait.value_or(wait));
    }
    if (flags.visibility.has_value()) {
      *request_.mutable_visibility_timeout() = ToProto(*flags.visibility);
    }
  }

  int Run() {
    Interrupt interrupt([this] {
      canceller_.Cancel();
      interrupted_.Notify();
    });
    absl::Status status = Loop();
    while (deletes_.in_flight() > 0) Settle(*deletes_.Next());
    if (status.ok()) status = failure_;
    const int code = session_.Finish(status);
    return code == kDone && refused_ ? kRefused : code;
  }

 private:
  using Deletes = client::CallWindow<client::DeleteMessageCall>;

  absl::Status Loop() {
    if (flags_.follow) {
      // A receive may wait long before it answers: whether there is a broker is to be known first.
      v1::GetQueueRequest request;
      request.set_queue(flags_.queue);
      absl::Status there = session_.client().GetQueue(request).status();
      if (!there.ok()) return there;
    }
    while (failure_.ok()) {
      auto response = session_.client().ReceiveMessage(request_, &canceller_);
      if (canceller_.cancelled() && absl::IsCancelled(response.status())) return absl::OkStatus();
      if (flags_.follow && IsAway(response.status())) {
        if (canceller_.cancelled()) return absl::OkStatus();
        WaitForReturn(response.status());
        continue;
      }
      if (!response.ok()) return response.status();
      NoteReturn();
      absl::Status status = Take(*response);
      if (!status.ok()) return status;
      if (canceller_.cancelled() || !(flags_.all || flags_.follow)) return absl::OkStatus();
      if (response->messages().empty() && !flags_.follow) return absl::OkStatus();
    }
    return absl::OkStatus();
  }

  // Says so once, and pauses before the next attempt.
  void WaitForReturn(const absl::Status& status) {
    if (pause_ == absl::ZeroDuration()) {
      session_.output().Error(status);
      session_.output().Note("trying again until it is back; Ctrl-C ends this");
    }
    pause_ = std::clamp(pause_ * 2, kFirstPause, kLongestPause);
    interrupted_.WaitForNotificationWithTimeout(pause_);
  }

  void NoteReturn() {
    if (pause_ != absl::ZeroDuration()) session_.output().Note("the broker is back");
    pause_ = absl::ZeroDuration();
  }

  absl::Status Take(const v1::ReceiveMessageResponse& response) {
    for (const v1::Message& message : response.messages()) Print(message);
    absl::Status written = session_.output().Flush();
    if (!written.ok()) {
      GiveBack(response);
      return written;
    }
    received_ += response.messages_size();
    if (progress_ != nullptr) progress_->Update(received_);
    if (flags_.remove && !response.messages().empty()) StartDelete(response);
    return absl::OkStatus();
  }

  void Print(const v1::Message& message) {
    Output& output = session_.output();
    if (output.json()) {
      output.Json(MessageToJson(message));
    } else if (flags_.remove) {
      output.Line(message.body());
    } else {
      output.Line(MessageToText(message));
    }
  }

  void StartDelete(const v1::ReceiveMessageResponse& response) {
    while (deletes_.in_flight() >= kDeletesInFlight) Settle(*deletes_.Next());
    while (auto ended = deletes_.TryNext()) Settle(*ended);
    auto call = std::make_unique<client::DeleteMessageCall>();
    call->request.set_queue(flags_.queue);
    for (const v1::Message& message : response.messages()) {
      call->request.add_receipt_handles(message.receipt_handle());
    }
    deletes_.Start(std::move(call));
  }

  void Settle(const client::DeleteMessageCall& call) {
    if (flags_.follow && IsAway(call.status)) {
      session_.output().Note(absl::StrCat("the delete of ", call.request.receipt_handles_size(),
                                          " messages broke: they may come again"));
      return;
    }
    failure_.Update(call.status);
    for (const v1::EntryResult& result : call.response.results()) {
      if (!result.has_error()) continue;
      refused_ = true;
      session_.output().Error(client::FromError(result.error()));
    }
  }

  // Nobody saw these: others may have them at once. If this fails they come back when their
  // visibility timeout is over.
  void GiveBack(const v1::ReceiveMessageResponse& response) {
    v1::ChangeMessageVisibilityRequest request;
    request.set_queue(flags_.queue);
    for (const v1::Message& message : response.messages()) {
      v1::ChangeMessageVisibilityEntry* entry = request.add_entries();
      entry->set_receipt_handle(message.receipt_handle());
      entry->mutable_visibility_timeout();
    }
    session_.client().ChangeMessageVisibility(request).status().IgnoreError();
  }

  Session& session_;
  const ReceiveFlags& flags_;
  v1::ReceiveMessageRequest request_;
  client::CallCanceller canceller_;
  int64_t received_ = 0;
  bool refused_ = false;
  absl::Duration pause_ = absl::ZeroDuration();  // while it is away
  absl::Notification interrupted_;
  absl::Status failure_;  // of the first delete that failed as a whole
  const std::unique_ptr<Progress> progress_;
  Deletes deletes_;
};

int Receive(Session& session, const ReceiveFlags& flags) {
  if (flags.all && flags.follow) {
    return session.Finish(WrongUsage("--all ends at an empty queue and --follow never; give one"));
  }
  return Receiver(session, flags).Run();
}

}  // namespace

void AddReceiveCommand(CLI::App& app, Command& chosen) {
  CLI::App* receive = AddCommand(
      app, "receive", "Receive messages",
      "  barista receive orders --wait 20s\n"
      "  barista receive orders --all --delete > orders.txt\n"
      "  barista --output json receive orders --follow --delete | ./brew\n"
      "As text, --delete prints the body alone and otherwise the facts of the message come first. "
      "A "
      "message is deleted once it has been printed. No message is no error. Ctrl-C ends in order. "
      "--follow waits for a broker that goes away, for a restart say, to come back; one that "
      "cannot "
      "be reached from the start is an error.");
  auto flags = std::make_shared<ReceiveFlags>();
  receive->add_option("QUEUE", flags->queue, "The queue to receive from")->required();
  receive
      ->add_option(
          "--max", flags->max,
          "Most messages of one receive, 1 to 1000 (default 1; 100 with --all or --follow)")
      ->check(InRange(1, kMaxReceiveMessages))
      ->type_name("N");
  AddDurationOption(*receive, "--wait", flags->wait,
                    "How long a receive waits for a first message, 0s to 1h (default: the queue's, "
                    "0s; 0s with --all; 20s at a time with --follow)");
  AddDurationOption(*receive, "--visibility", flags->visibility,
                    "How long the messages are hidden from others, 0s to 12h (default: the "
                    "queue's, 30s)");
  receive->add_flag("--delete", flags->remove, "Delete the messages after printing them");
  receive->add_flag("--all", flags->all, "Repeat until a receive finds nothing");
  receive->add_flag("--follow", flags->follow,
                    "Repeat until interrupted, with new messages as they come");
  receive->callback([&chosen, flags] {
    chosen = [flags](Session& session) { return Receive(session, *flags); };
  });
}

}  // namespace barista::cli
