#ifndef TESTS_SERVER_SERVER_FIXTURE_H_
#define TESTS_SERVER_SERVER_FIXTURE_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "barista/v1/queue.grpc.pb.h"
#include "broker/server/server.h"

namespace barista::server {

// How long a test waits for something that must happen. Generous: it is only reached by a failure.
inline constexpr absl::Duration kPatience = absl::Seconds(30);

// Waits until `condition` holds; false if it does not within kPatience.
bool Eventually(const std::function<bool()>& condition);

// The ErrorInfo of a status, decoded from grpc-status-details-bin.
struct Details {
  int code = 0;  // of the google.rpc.Status around it
  std::string domain, reason, field, value, limit;
};
Details DetailsOf(const grpc::Status& status);

// A status that ended with `code` and the reason `reason`, in the details too.
::testing::AssertionResult FailedWith(const grpc::Status& status, grpc::StatusCode code,
                                      absl::string_view reason);

struct HttpResult {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};
// One request on a connection of its own; `headers` are lines that each end with \r\n.
HttpResult Http(const std::string& address, const std::string& method, const std::string& target,
                const std::string& body = "", const std::string& headers = "");

// A directory that is gone at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// A server in memory on free ports, and a channel to it.
class ServerTest : public ::testing::Test {
 protected:
  ServerTest() = default;
  void SetUp() override { Start(Options()); }
  void TearDown() override;

  // Listens on free ports of loopback, in memory, with a clock that stands still.
  static ServerOptions Options();
  void Start(const ServerOptions& options);

  // A context with a deadline of kPatience.
  static std::unique_ptr<grpc::ClientContext> Context();

  // Of a client whose flow control lets 64 KiB through and no more, if nobody reads.
  std::unique_ptr<v1::QueueService::Stub> StubOfFixedWindows();

  // Calls that must succeed, or whose status is the result.
  void CreateQueue(const std::string& name,
                   const std::map<std::string, std::string>& attributes = {});
  grpc::Status Send(const std::string& queue, const std::vector<v1::SendMessageEntry>& entries,
                    v1::SendMessageResponse* response = nullptr);
  grpc::Status SendBody(const std::string& queue, const std::string& body);
  // Without waiting unless `wait` says so.
  std::vector<v1::Message> Receive(const std::string& queue, int max_messages = 10,
                                   absl::Duration wait = absl::ZeroDuration());
  grpc::Status ReceiveStatus(const v1::ReceiveMessageRequest& request,
                             v1::ReceiveMessageResponse* response = nullptr);
  grpc::Status Delete(const std::string& queue, const std::vector<std::string>& handles,
                      v1::DeleteMessageResponse* response = nullptr);
  // An attribute of the queue, "" if it has none of that name.
  std::string Attribute(const std::string& queue, const std::string& name);
  bool EventuallyParked(int64_t receives);

  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::QueueService::Stub> stub_;
};

v1::SendMessageEntry Entry(const std::string& body);

}  // namespace barista::server

#endif  // TESTS_SERVER_SERVER_FIXTURE_H_
