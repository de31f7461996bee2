#include "broker/server/access.h"

#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "broker/server/log.h"

namespace barista::server {
namespace {

// Of what a client has sent, in errors and in the log.
constexpr size_t kMaxQuotedBytes = 128;

// Everything that needs less than admin: RPCs by name, administration by path. Definitions, purge,
// the manual clock, the AdminService and whatever is added later need admin unless it is here.
struct Rule {
  absl::string_view action;
  Need need;
};
constexpr Rule kRules[] = {
    {"GetQueue", Need::kRole},
    {"ListQueues", Need::kList},
    {"SendMessage", Need::kSend},
    {"OpenStream", Need::kToken},        // before a stream names its queue
    {"MalformedRequest", Need::kToken},  // names none
    {"SendStream", Need::kSend},
    {"ReceiveMessage", Need::kReceive},
    {"ConsumeStream", Need::kReceive},
    {"DeleteMessage", Need::kReceive},
    {"ChangeMessageVisibility", Need::kReceive},
    {"PeekMessages", Need::kReceive},
    {"ServerReflectionInfo", Need::kToken},
    {"AwsProtocols", Need::kToken},
    {"/healthz", Need::kNothing},
    {"/readyz", Need::kNothing},
    {"/metrics", Need::kToken},
};

constexpr ClientLimit::Thing kStreams = {"streams and waiting receives", "TooManyStreams",
                                         "the broker", "", "max_client_streams"};
constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();

bool Permits(const Token& token, Need need, absl::string_view queue) {
  switch (need) {
    case Need::kNothing:
    case Need::kToken:
      return true;
    case Need::kRole:
      return token.admin.Covers(queue) || token.send.Covers(queue) || token.receive.Covers(queue);
    case Need::kList:
      return token.admin.CoversPrefix(queue) || token.send.CoversPrefix(queue) ||
             token.receive.CoversPrefix(queue);
    case Need::kSend:
      return token.send.Covers(queue) || token.admin.Covers(queue);
    case Need::kReceive:
      return token.receive.Covers(queue) || token.admin.Covers(queue);
    case Need::kAdmin:
      return token.admin.Covers(queue);
  }
  return false;
}

absl::string_view RoleName(Need need) {
  if (need == Need::kSend) return "send";
  if (need == Need::kReceive) return "receive";
  if (need == Need::kAdmin) return "admin";
  return "any role";
}

absl::Status Denied(const Token& token, absl::string_view action, Need need,
                    absl::string_view queue) {
  action = action.substr(0, kMaxQuotedBytes);
  queue = queue.substr(0, kMaxQuotedBytes);
  std::string where = "the broker as a whole";
  if (need == Need::kList) {
    where = absl::StrCat("every queue whose name begins with \"", queue, "\"");
  } else if (!queue.empty()) {
    where = absl::StrCat("queue ", queue);
  }
  return MakeError(absl::StatusCode::kPermissionDenied,
                   absl::StrCat("token ", token.name, " may not do ", action, " on ", where,
                                "; it needs ", RoleName(need), " there"),
                   {.reason = "AccessDenied", .field = "queue", .value = std::string(queue)});
}

// What follows "Bearer "; empty if that is not what it begins with.
absl::string_view BearerToken(absl::string_view authorization) {
  constexpr absl::string_view kScheme = "Bearer ";
  if (!absl::StartsWithIgnoreCase(authorization, kScheme)) return "";
  return authorization.substr(kScheme.size());
}

}  // namespace

Need NeedOf(absl::string_view action) {
  static const auto* const kNeeds = [] {
    auto* needs = new absl::flat_hash_map<absl::string_view, Need>;
    for (const Rule& rule : kRules) needs->emplace(rule.action, rule.need);
    return needs;
  }();
  const auto found = kNeeds->find(action);
  return found != kNeeds->end() ? found->second : Need::kAdmin;
}

ClientLimit::Limits Access::StreamLimits(const Limits& limits) {
  return {.total = kNoLimit, .per_client = limits.streams_per_client};
}

Access::Access(std::shared_ptr<const TokenTable> tokens, const Limits& limits, const Clock* clock)
    : has_tokens_(tokens != nullptr),
      rate_(limits.requests_per_second, clock),
      clock_(clock),
      tokens_(std::move(tokens)),
      streams_(kStreams, StreamLimits(limits)),
      replies_(kReplies, {.total = kMaxReplyBytes, .per_client = kMaxClientReplyBytes}) {}

absl::Status Access::Check(const Caller& caller, absl::string_view action,
                           absl::string_view queue) {
  if (!active()) return absl::OkStatus();
  const Need need = NeedOf(action);
  if (need == Need::kNothing) return absl::OkStatus();
  absl::Status decided = Decide(caller, action, need, queue);
  if (!decided.ok()) LogRefusal(caller, action, queue, decided);
  return decided;
}

absl::Status Access::Decide(const Caller& caller, absl::string_view action, Need need,
                            absl::string_view queue) {
  std::shared_ptr<const TokenTable> tokens;
  absl::string_view secret;
  const Token* token = nullptr;
  if (has_tokens_) {
    tokens = tokens_.load(std::memory_order_acquire);
    secret = BearerToken(caller.Authorization());
    if (!secret.empty()) token = tokens->Find(secret);
  }
  if (const int64_t per_second = rate_.per_second(); per_second > 0) {
    std::string address;
    if (token == nullptr) address = absl::StrCat("/", caller.Client());  // no token is called so
    if (!rate_.Admit(token != nullptr ? token->name : address)) {
      const std::string limit = absl::StrCat(per_second);
      return MakeError(
          absl::StatusCode::kResourceExhausted,
          absl::StrCat("more than ", limit, " requests per second; repeat later"),
          {.reason = "RequestThrottled", .field = "max_requests_per_second", .limit = limit});
    }
  }
  if (!has_tokens_) return absl::OkStatus();
  if (secret.empty()) {
    return MakeError(absl::StatusCode::kUnauthenticated,
                     absl::StrCat(action.substr(0, kMaxQuotedBytes),
                                  " needs a token: authorization: Bearer TOKEN"),
                     {.reason = "MissingAuthenticationToken", .field = "authorization"});
  }
  if (token == nullptr) {
    return MakeError(absl::StatusCode::kUnauthenticated, "the token is not known here",
                     {.reason = "InvalidClientTokenId", .field = "authorization"});
  }
  if (!Permits(*token, need, queue)) return Denied(*token, action, need, queue);
  return absl::OkStatus();
}

std::string Access::ClientOf(const Caller& caller) const {
  if (has_tokens_) {
    const std::shared_ptr<const TokenTable> tokens = tokens_.load(std::memory_order_acquire);
    const absl::string_view secret = BearerToken(caller.Authorization());
    const Token* const token = secret.empty() ? nullptr : tokens->Find(secret);
    if (token != nullptr) return absl::StrCat("token ", token->name);
  }
  return caller.Client();
}

absl::StatusOr<ClientLimit::Share> Access::TakeStream(const Caller& caller) {
  auto share = streams_.Take(ClientOf(caller));
  if (!share.ok()) LogRefusal(caller, "a stream", "", share.status());
  return share;
}

absl::StatusOr<std::optional<ClientLimit::Share>> Access::TakeReply(const Caller& caller,
                                                                    size_t bytes) {
  if (bytes <= kSmallReplyBytes) return std::optional<ClientLimit::Share>();
  auto share = replies_.Take(ClientOf(caller), bytes);
  if (!share.ok()) {
    LogRefusal(caller, "a reply", "", share.status());
    return share.status();
  }
  return std::optional<ClientLimit::Share>(*std::move(share));
}

void Access::Replace(std::shared_ptr<const TokenTable> tokens) {
  tokens_.store(std::move(tokens), std::memory_order_release);
}

void Access::SetLimits(const Limits& limits) {
  rate_.set_per_second(limits.requests_per_second);
  streams_.SetLimits(StreamLimits(limits));
}

void Access::LogRefusal(const Caller& caller, absl::string_view action, absl::string_view queue,
                        const absl::Status& status) {
  const std::optional<int64_t> held_back = log_gate_.Pass(clock_->Monotonic());
  if (!held_back.has_value()) return;
  // The path of a request may hold anything.
  const std::string what = absl::CHexEscape(action.substr(0, kMaxQuotedBytes));
  const std::string client = caller.Client(), reason = GetErrorInfo(status).reason;
  Log(spdlog::level::warn,
      absl::StrCat("refused ", what, " from ", client, ": ", reason, " (", *held_back,
                   " refusals before it are not in the log)"),
      {{"method", what},
       {"queue", absl::CHexEscape(queue.substr(0, kMaxQuotedBytes))},
       {"client", client},
       {"reason", reason},
       {"held_back", *held_back}});
}

}  // namespace barista::server
