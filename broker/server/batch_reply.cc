#include "broker/server/batch_reply.h"

#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"
#include "barista/error.h"
#include "broker/server/grpc_status.h"
#include "broker/server/message_codec.h"

namespace barista::server {
namespace {

const absl::Status& StatusOf(const absl::Status& result) { return result; }
const absl::Status& StatusOf(const absl::StatusOr<SendResult>& result) { return result.status(); }

void EncodeValue(const absl::Status&, v1::EntryResult*) {}
void EncodeValue(const absl::StatusOr<SendResult>& result, v1::SendMessageResult* out) {
  EncodeSendResult(*result, out);
}

// Whether the error is about the call and not about one of its entries.
bool IsErrorOfCall(const absl::Status& status) {
  if (status.ok()) return false;
  const std::string reason = GetErrorInfo(status).reason;
  return reason == "QueueDoesNotExist" || reason == "BrokerClosed" ||
         reason == "EmptyBatchRequest" || reason == "TooManyEntriesInBatchRequest" ||
         reason == "BatchRequestTooLong";
}

template <typename Result, typename Response>
grpc::Status Reply(const std::vector<absl::Status>& decoded, const std::vector<Result>& results,
                   Response* response) {
  size_t errors_of_call = 0;
  for (const Result& result : results) errors_of_call += IsErrorOfCall(StatusOf(result)) ? 1 : 0;
  if (errors_of_call > 0 && errors_of_call == results.size()) {
    return ToGrpcStatus(StatusOf(results.front()));
  }

  response->mutable_results()->Reserve(static_cast<int>(decoded.size()));
  size_t next = 0;
  int failed = 0;
  for (const absl::Status& refused : decoded) {
    const Result* result = refused.ok() ? &results[next++] : nullptr;
    const absl::Status& status = result == nullptr ? refused : StatusOf(*result);
    auto* out = response->add_results();
    if (status.ok()) {
      EncodeValue(*result, out);
      continue;
    }
    if (decoded.size() == 1) {
      response->Clear();
      return ToGrpcStatus(status);
    }
    EncodeError(status, out->mutable_error());
    ++failed;
  }
  response->set_failed(failed);
  return grpc::Status::OK;
}

}  // namespace

absl::Status CheckEntries(int entries) {
  if (entries >= 1 && static_cast<size_t>(entries) <= kMaxBatchEntries) return absl::OkStatus();
  const bool empty = entries == 0;
  const std::string limit = absl::StrCat("1 to ", kMaxBatchEntries, " entries");
  return MakeError(absl::StatusCode::kInvalidArgument,
                   absl::StrCat("the call has ", entries, " entries; limit ", limit),
                   {.reason = empty ? "EmptyBatchRequest" : "TooManyEntriesInBatchRequest",
                    .field = "Entries",
                    .value = absl::StrCat(entries),
                    .limit = limit});
}

grpc::Status ReplySends(const std::vector<absl::Status>& decoded,
                        const std::vector<absl::StatusOr<SendResult>>& results,
                        v1::SendMessageResponse* response) {
  return Reply(decoded, results, response);
}

template <typename Response>
grpc::Status ReplyStatuses(const std::vector<absl::Status>& decoded,
                           const std::vector<absl::Status>& results, Response* response) {
  return Reply(decoded, results, response);
}

template grpc::Status ReplyStatuses(const std::vector<absl::Status>&,
                                    const std::vector<absl::Status>&, v1::DeleteMessageResponse*);
template grpc::Status ReplyStatuses(const std::vector<absl::Status>&,
                                    const std::vector<absl::Status>&,
                                    v1::ChangeMessageVisibilityResponse*);

}  // namespace barista::server
