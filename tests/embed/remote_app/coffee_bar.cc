// Sends, receives and deletes through a server. What it does with queues is written for either kind
// of host. usage: coffee_bar SERVER
#include <barista/client.h>

#include <iostream>
#include <string>

namespace {

int Fail(const std::string& what, const absl::Status& status) {
  std::cerr << what << ": " << status << "\n";
  return 1;
}

int Serve(barista::QueueHost& host) {
  auto orders = host.CreateQueue("orders", {.visibility_timeout = absl::Seconds(30)});
  if (!orders.ok()) return Fail("create", orders.status());
  auto sent = orders->Send({.body = "two espressos", .attributes = {{"table", "7"}}});
  if (!sent.ok()) return Fail("send", sent.status());
  auto received = orders->Receive({.max_messages = 10, .wait = absl::Seconds(5)});
  if (!received.ok()) return Fail("receive", received.status());
  if (received->size() != 1 || received->front().message_id != sent->message_id ||
      received->front().body != "two espressos" ||
      received->front().attributes() != barista::MessageAttributes{{"table", "7"}}) {
    return Fail("receive", absl::InternalError("not the message that was sent"));
  }
  if (auto status = orders->Delete(received->front().receipt_handle); !status.ok())
    return Fail("delete", status);
  if (auto status = host.DeleteQueue("orders"); !status.ok()) return Fail("drop", status);
  auto gone = host.GetQueue("orders");
  if (barista::GetErrorInfo(gone.status()).reason != "QueueDoesNotExist")
    return Fail("get", gone.status());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  auto broker = barista::client::Connect({.server = argv[1]});
  if (!broker.ok()) return Fail("connect", broker.status());
  if (int code = Serve(**broker); code != 0) return code;
  if (auto status = (*broker)->Close(); !status.ok()) return Fail("close", status);
  std::cout << "remote: ok\n";
  return 0;
}
