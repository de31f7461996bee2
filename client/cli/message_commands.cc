// barista peek, delete, change-visibility

#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "barista/message.h"
#include "barista/queue.h"
#include "client/cli/line_reader.h"
#include "client/cli/message_format.h"
#include "client/cli/session.h"

namespace barista::cli {
namespace {

// A receipt handle is far shorter.
constexpr size_t kMaxHandleBytes = 4096;

int Peek(Session& session, const std::string& queue, int max) {
  v1::PeekMessagesRequest request;
  request.set_queue(queue);
  request.set_max_messages(max);
  auto response = session.client().PeekMessages(request);
  if (!response.ok()) return session.Finish(response.status());
  for (const v1::PeekedMessage& message : response->messages()) {
    if (session.output().json()) {
      session.output().Json(PeekedToJson(message));
    } else {
      session.output().Line(PeekedToText(message));
    }
  }
  return session.Finish(absl::OkStatus());
}

// The handles as given; a single "-" stands for the lines of standard input.
absl::StatusOr<std::vector<std::string>> Handles(const std::vector<std::string>& arguments) {
  if (arguments != std::vector<std::string>{"-"}) return arguments;
  std::vector<std::string> handles;
  LineReader input(STDIN_FILENO, kMaxHandleBytes);
  LineReader::Line line;
  for (;;) {
    auto more = input.Next(line);
    if (!more.ok()) return more.status();
    if (!*more) return handles;
    if (!line.text.empty()) handles.push_back(line.text);
  }
}

// Reports the errors of entries that went wrong; how many went right.
template <typename Response>
int64_t CountDone(Session& session, const Response& response) {
  int64_t done = 0;
  for (const v1::EntryResult& result : response.results()) {
    if (result.has_error()) {
      session.output().Error(client::FromError(result.error()));
    } else {
      ++done;
    }
  }
  return done;
}

// Calls `settle` with up to kMaxBatchEntries handles at a time and sums up. The error of a call
// with one handle concerns that handle alone.
template <typename Settle>
int SettleHandles(Session& session, const std::vector<std::string>& arguments, const char* verb,
                  Settle settle) {
  auto handles = Handles(arguments);
  if (!handles.ok()) return session.Finish(handles.status());
  int64_t done = 0;
  absl::Status failure;
  for (size_t from = 0; from < handles->size() && failure.ok(); from += kMaxBatchEntries) {
    const size_t to = std::min(handles->size(), from + kMaxBatchEntries);
    absl::StatusOr<int64_t> count =
        settle(std::vector<std::string>(handles->begin() + from, handles->begin() + to));
    if (count.ok()) {
      done += *count;
    } else {
      failure = count.status();
    }
  }
  if (session.output().json()) {
    session.output().Json({{verb, done}});
  } else {
    session.output().Line(absl::StrCat(verb, " ", done, done == 1 ? " message" : " messages"));
  }
  const int code = session.Finish(failure);
  return code == kDone && done != static_cast<int64_t>(handles->size()) ? kRefused : code;
}

int Delete(Session& session, const std::string& queue, const std::vector<std::string>& arguments) {
  return SettleHandles(session, arguments, "deleted",
                       [&](const std::vector<std::string>& handles) -> absl::StatusOr<int64_t> {
                         v1::DeleteMessageRequest request;
                         request.set_queue(queue);
                         request.mutable_receipt_handles()->Add(handles.begin(), handles.end());
                         auto response = session.client().DeleteMessage(request);
                         if (!response.ok()) return response.status();
                         return CountDone(session, *response);
                       });
}

int ChangeVisibility(Session& session, const std::string& queue,
                     const std::vector<std::string>& arguments, absl::Duration timeout) {
  google::protobuf::Duration visibility;
  visibility.set_seconds(absl::IDivDuration(timeout, absl::Seconds(1), &timeout));
  visibility.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(timeout)));
  return SettleHandles(session, arguments, "changed",
                       [&](const std::vector<std::string>& handles) -> absl::StatusOr<int64_t> {
                         v1::ChangeMessageVisibilityRequest request;
                         request.set_queue(queue);
                         for (const std::string& handle : handles) {
                           v1::ChangeMessageVisibilityEntry* entry = request.add_entries();
                           entry->set_receipt_handle(handle);
                           *entry->mutable_visibility_timeout() = visibility;
                         }
                         auto response = session.client().ChangeMessageVisibility(request);
                         if (!response.ok()) return response.status();
                         return CountDone(session, *response);
                       });
}

struct Arguments {
  std::string queue;
  std::vector<std::string> handles;
  std::optional<absl::Duration> visibility;
  int max = 10;
};

void AddHandles(CLI::App& app, Arguments& arguments) {
  app.add_option("QUEUE", arguments.queue, "The queue of the messages")->required();
  app.add_option("HANDLE", arguments.handles,
                 "Receipt handles, as `receive` gives them; '-': one per line of standard input")
      ->required();
}

}  // namespace

void AddMessageCommands(CLI::App& app, Command& chosen) {
  auto peek = std::make_shared<Arguments>();
  CLI::App* peek_app =
      AddCommand(app, "peek", "Look at messages without receiving them, the oldest first",
                 "  barista peek orders --max 3\n");
  peek_app->add_option("QUEUE", peek->queue, "The queue to look at")->required();
  peek_app->add_option("--max", peek->max, "Most messages to show, 1 to 1000 (default 10)")
      ->check(InRange(1, kMaxReceiveMessages))
      ->type_name("N");
  peek_app->callback([&chosen, peek] {
    chosen = [peek](Session& session) { return Peek(session, peek->queue, peek->max); };
  });

  auto remove = std::make_shared<Arguments>();
  CLI::App* delete_app = AddCommand(app, "delete", "Delete received messages",
                                    "  barista delete orders -- \"$handle\"\n"
                                    "  barista --output json receive orders --max 10 | jq -r "
                                    ".receipt_handle | barista delete orders -\n");
  AddHandles(*delete_app, *remove);
  delete_app->callback([&chosen, remove] {
    chosen = [remove](Session& session) { return Delete(session, remove->queue, remove->handles); };
  });

  auto change = std::make_shared<Arguments>();
  CLI::App* change_app =
      AddCommand(app, "change-visibility", "Hide received messages for longer, or no longer",
                 "  barista change-visibility orders --visibility 5m -- \"$handle\"\n"
                 "  barista change-visibility orders --visibility 0s -- \"$handle\"\n");
  AddHandles(*change_app, *change);
  AddDurationOption(*change_app, "--visibility", change->visibility,
                    "How long from now, 0s to 12h; 0s: visible at once")
      ->required();
  change_app->callback([&chosen, change] {
    chosen = [change](Session& session) {
      return ChangeVisibility(session, change->queue, change->handles, *change->visibility);
    };
  });
}

}  // namespace barista::cli
