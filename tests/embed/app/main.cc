// Sends, receives and deletes through an embedded broker, closes it, and finds the rest in a second
// life. usage: coffee_shop DATA_DIR
#include <barista/broker.h>

#include <iostream>
#include <string>

namespace {

int Fail(const std::string& what, const absl::Status& status) {
  std::cerr << what << ": " << status << "\n";
  return 1;
}

int FirstLife(const std::string& data_dir) {
  auto broker = barista::Broker::Open({.data_dir = data_dir});
  if (!broker.ok()) return Fail("open", broker.status());
  auto orders = (*broker)->CreateQueue("orders", {.visibility_timeout = absl::Seconds(30)});
  if (!orders.ok()) return Fail("create", orders.status());
  for (const char* body : {"one espresso", "two espressos"}) {
    auto sent = orders->Send({.body = body, .attributes = {{"table", "7"}}});
    if (!sent.ok()) return Fail("send", sent.status());
  }
  auto received = orders->Receive({.max_messages = 1, .wait = absl::Seconds(5)});
  if (!received.ok()) return Fail("receive", received.status());
  if (received->size() != 1 || received->front().body != "one espresso") {
    return Fail("receive", absl::InternalError("not the first message"));
  }
  if (received->front().attributes() != barista::MessageAttributes{{"table", "7"}}) {
    return Fail("receive", absl::InternalError("not its attributes"));
  }
  if (auto status = orders->Delete(received->front().receipt_handle); !status.ok())
    return Fail("delete", status);
  if (auto status = (*broker)->Close(); !status.ok()) return Fail("close", status);
  return 0;
}

int SecondLife(const std::string& data_dir) {
  auto broker = barista::Broker::Open({.data_dir = data_dir});
  if (!broker.ok()) return Fail("reopen", broker.status());
  auto orders = (*broker)->GetQueue("orders");
  if (!orders.ok()) return Fail("get", orders.status());
  auto rest = orders->Receive({.max_messages = 10, .wait = absl::Seconds(5)});
  if (!rest.ok()) return Fail("receive", rest.status());
  if (rest->size() != 1 || rest->front().body != "two espressos") {
    return Fail("receive", absl::InternalError("not what was left"));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  if (int code = FirstLife(argv[1]); code != 0) return code;
  if (int code = SecondLife(argv[1]); code != 0) return code;
  std::cout << "embedded: ok\n";
  return 0;
}
