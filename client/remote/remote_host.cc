// barista::client::Connect: the host behind a server, and its options.

#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "barista/client.h"
#include "barista/error.h"
#include "broker/base/callback.h"
#include "broker/message/attributes.h"
#include "broker/message/queue_errors.h"
#include "broker/message/validation.h"
#include "client/channel.h"
#include "client/remote/connection.h"
#include "client/remote/remote_call.h"
#include "client/remote/remote_queue.h"
#include "client/remote/send_pipe.h"
#include "client/remote/text.h"
#include "client/remote/wire.h"

namespace barista::client {
namespace {

class RemoteHost final : public QueueHost {
 public:
  explicit RemoteHost(std::shared_ptr<Connection> connection)
      : connection_(std::move(connection)), sends_(std::make_shared<SendPipe>(connection_)) {}
  ~RemoteHost() override {
    if (InCallback()) {
      // The thread of the callback is one of those that closing waits for.
      std::thread(CloseAll, connection_, sends_).detach();
    } else {
      CloseAll(connection_, sends_);
    }
  }

  absl::Status Close() override {
    if (absl::Status status = CheckMayBlock(); !status.ok()) return status;
    CloseAll(connection_, sends_);
    return absl::OkStatus();
  }

  absl::StatusOr<Queue> CreateQueue(absl::string_view name, const QueueAttributes& attributes,
                                    const QueueTags& tags) override {
    if (absl::Status status = internal::ValidateQueueName(name); !status.ok()) return status;
    if (absl::Status status = internal::ValidateQueueAttributes(attributes); !status.ok()) {
      return status;
    }
    v1::CreateQueueRequest request;
    request.set_queue(std::string(name));
    if (absl::Status status = EncodeAttributes(attributes, request.mutable_attributes());
        !status.ok()) {
      return status;
    }
    if (absl::Status status = EncodeTags(tags, request.mutable_tags()); !status.ok()) return status;
    const absl::StatusOr<v1::CreateQueueResponse> response =
        CallAndWait<v1::CreateQueueRequest, v1::CreateQueueResponse>(
            connection_, &QueueApi::CreateQueue, std::move(request), Repeatable::kYes);
    if (!response.ok()) return response.status();
    return QueueOf(response->queue());
  }

  absl::StatusOr<Queue> GetQueue(absl::string_view name) override {
    // (No queue has another name.)
    if (!internal::ValidateQueueName(name).ok()) return internal::QueueDoesNotExist(name);
    v1::GetQueueRequest request;
    request.set_queue(std::string(name));
    const absl::StatusOr<v1::GetQueueResponse> response =
        CallAndWait<v1::GetQueueRequest, v1::GetQueueResponse>(
            connection_, &QueueApi::GetQueue, std::move(request), Repeatable::kYes);
    if (!response.ok()) return response.status();
    return QueueOf(response->queue());
  }

  absl::Status DeleteQueue(absl::string_view name) override {
    if (!internal::ValidateQueueName(name).ok()) return internal::QueueDoesNotExist(name);
    v1::DeleteQueueRequest request;
    request.set_queue(std::string(name));
    return CallAndWait<v1::DeleteQueueRequest, v1::DeleteQueueResponse>(
               connection_, &QueueApi::DeleteQueue, std::move(request), Repeatable::kNo)
        .status();
  }

  absl::StatusOr<ListQueuesResult> ListQueues(const ListQueuesOptions& options) override {
    if (options.max_results < 1 || options.max_results > 1000) {
      return internal::InvalidParameter("MaxResults", absl::StrCat(options.max_results),
                                        "MaxResults must be an integer between 1 and 1000.",
                                        "1 to 1000");
    }
    if (!IsText(options.next_token)) {
      return internal::InvalidParameter("NextToken", options.next_token,
                                        "Invalid or expired next token.",
                                        "the token of the previous page, with the same prefix");
    }
    if (!IsText(options.prefix)) return ListQueuesResult();  // No name begins like this.
    v1::ListQueuesRequest request;
    request.set_prefix(options.prefix);
    request.set_max_results(options.max_results);
    request.set_next_token(options.next_token);
    const absl::StatusOr<v1::ListQueuesResponse> response =
        CallAndWait<v1::ListQueuesRequest, v1::ListQueuesResponse>(
            connection_, &QueueApi::ListQueues, std::move(request), Repeatable::kYes);
    if (!response.ok()) return response.status();
    ListQueuesResult result;
    result.names.assign(response->queues().begin(), response->queues().end());
    result.next_token = response->next_token();
    return result;
  }

 private:
  absl::StatusOr<Queue> QueueOf(const v1::Queue& queue) {
    const absl::StatusOr<QueueDescription> description = DecodeDescription(queue);
    if (!description.ok()) return description.status();
    return Queue(std::make_shared<RemoteQueue>(connection_, sends_, *description));
  }

  // Calls first: the receives end at once, so that nobody sends because of one.
  static void CloseAll(const std::shared_ptr<Connection>& connection,
                       const std::shared_ptr<SendPipe>& sends) {
    connection->Close();
    sends->Close();
    connection->Release();
  }

  const std::shared_ptr<Connection> connection_;
  const std::shared_ptr<SendPipe> sends_;
};

absl::Status Wrong(absl::string_view option, absl::string_view value, absl::string_view message,
                   absl::string_view limit = "") {
  return MakeError(absl::StatusCode::kInvalidArgument, message,
                   {.reason = "InvalidParameterValue",
                    .field = std::string(option),
                    .value = std::string(value),
                    .limit = std::string(limit)});
}

absl::Status CheckRange(absl::string_view option, absl::Duration value, absl::Duration min,
                        absl::Duration max) {
  if (value >= min && value <= max) return absl::OkStatus();
  const std::string limit =
      absl::StrCat(absl::FormatDuration(min), " to ", absl::FormatDuration(max));
  return Wrong(option, absl::FormatDuration(value),
               absl::StrCat(option, " is ", absl::FormatDuration(value), "; limit ", limit), limit);
}

absl::Status Validate(const ConnectOptions& options) {
  const RetryPolicy& retry = options.retry;
  if (absl::Status status =
          CheckRange("timeout", options.timeout, absl::Milliseconds(1), absl::Hours(1));
      !status.ok()) {
    return status;
  }
  if (retry.max_attempts < 1 || retry.max_attempts > 100) {
    return Wrong("retry.max_attempts", absl::StrCat(retry.max_attempts),
                 absl::StrCat("retry.max_attempts is ", retry.max_attempts, "; limit 1 to 100"),
                 "1 to 100");
  }
  if (absl::Status status = CheckRange("retry.initial_backoff", retry.initial_backoff,
                                       absl::Milliseconds(1), absl::Minutes(1));
      !status.ok()) {
    return status;
  }
  return CheckRange("retry.max_backoff", retry.max_backoff, retry.initial_backoff, absl::Hours(1));
}

}  // namespace

absl::StatusOr<std::unique_ptr<QueueHost>> Connect(const ConnectOptions& options) {
  if (absl::Status status = Validate(options); !status.ok()) return status;
  if (const auto target = GrpcTarget(options.server); !target.ok()) {
    return Wrong("server", options.server, target.status().message(), "HOST:PORT or unix:PATH");
  }
  ChannelOptions channel_options;
  channel_options.server = options.server;
  channel_options.tls_ca = options.tls_ca;
  channel_options.tls_certificate = options.tls_certificate;
  channel_options.tls_key = options.tls_key;
  channel_options.token = options.token;
  const absl::StatusOr<std::shared_ptr<grpc::Channel>> channel = OpenChannel(channel_options);
  // (Which of the files, or that it is the token, the text says.)
  if (!channel.ok()) return Wrong("credentials", "", channel.status().message());
  return std::unique_ptr<QueueHost>(
      std::make_unique<RemoteHost>(std::make_shared<Connection>(*channel, options)));
}

}  // namespace barista::client
