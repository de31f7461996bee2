#include "broker/server/grpc_status.h"

#include <string>

#include "barista/error.h"
#include "barista/rpc/status.pb.h"
#include "broker/server/text.h"

namespace barista::server {
namespace {

constexpr char kErrorInfoType[] = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr char kDomain[] = "barista";

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const std::string message = ToUtf8(status.message());
  const ErrorInfo info = GetErrorInfo(status);
  const auto code = static_cast<grpc::StatusCode>(status.raw_code());
  if (info.reason.empty()) return grpc::Status(code, message);

  rpc::ErrorInfo detail;
  detail.set_reason(info.reason);
  detail.set_domain(kDomain);
  auto& metadata = *detail.mutable_metadata();
  if (!info.field.empty()) metadata["field"] = ToUtf8(info.field);
  if (!info.value.empty()) metadata["value"] = ToUtf8(info.value);
  if (!info.limit.empty()) metadata["limit"] = ToUtf8(info.limit);
  rpc::Status details;
  details.set_code(static_cast<int>(code));
  details.set_message(message);
  google::protobuf::Any& any = *details.add_details();
  any.set_type_url(kErrorInfoType);
  any.set_value(detail.SerializeAsString());
  return grpc::Status(code, message, details.SerializeAsString());
}

void EncodeError(const absl::Status& status, v1::Error* error) {
  const ErrorInfo info = GetErrorInfo(status);
  error->set_code(status.raw_code());
  error->set_reason(info.reason);
  error->set_message(ToUtf8(status.message()));
  error->set_field(ToUtf8(info.field));
  error->set_value(ToUtf8(info.value));
  error->set_limit(ToUtf8(info.limit));
}

absl::Status ServerDraining() {
  return MakeError(absl::StatusCode::kUnavailable, "the broker ends; open the stream again",
                   {.reason = "ServerDraining"});
}

absl::Status MalformedRequest() {
  return MakeError(absl::StatusCode::kInvalidArgument,
                   "the bytes are no request of this method: not protobuf of its type, or a string "
                   "that is not UTF-8",
                   {.reason = "MalformedRequest"});
}

}  // namespace barista::server
