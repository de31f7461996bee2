// The administration port and the HTTP port.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "broker/server/admin/message_json.h"
#include "tests/server/server_fixture.h"

namespace barista::server {
namespace {

using ::testing::HasSubstr;

// The text of a JSON string.
std::string Text(const boost::json::value& value) { return std::string(value.as_string()); }

class AdminTest : public ServerTest {
 protected:
  HttpResult Get(const std::string& target) {
    return Http(server_->admin_address(), "GET", target);
  }
  HttpResult Post(const std::string& target, const std::string& body) {
    return Http(server_->admin_address(), "POST", target, body);
  }
  static std::string Reason(const HttpResult& result) {
    return Text(boost::json::parse(result.body).at("error").at("reason"));
  }
};

TEST_F(AdminTest, IsHealthyAndReadyUntilItDrains) {
  EXPECT_EQ(Get("/healthz").status, 200);
  const HttpResult ready = Get("/readyz");
  EXPECT_EQ(ready.status, 200);
  EXPECT_EQ(Text(boost::json::parse(ready.body).at("status")), "ready");
  server_->Drain();
  EXPECT_EQ(Get("/healthz").status, 200);
  const HttpResult draining = Get("/readyz");
  EXPECT_EQ(draining.status, 503);
  EXPECT_EQ(Text(boost::json::parse(draining.body).at("status")), "draining");
}

TEST_F(AdminTest, HeadHasTheHeaderOfGetAndNoBody) {
  const HttpResult get = Get("/healthz");
  const HttpResult head = Http(server_->admin_address(), "HEAD", "/healthz");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.at("content-length"), get.headers.at("content-length"));
  EXPECT_EQ(head.body, "");
}

TEST_F(AdminTest, UnknownPathIsNotFoundAndWrongMethodNamesTheRightOne) {
  for (const char* path :
       {"/", "/admin", "/admin/queues//messages", "/healthz/", "/admin/queues/a/b"}) {
    const HttpResult result = Get(path);
    EXPECT_EQ(result.status, 404) << path;
    EXPECT_EQ(result.headers.at("content-type"), "application/json");
    EXPECT_EQ(Reason(result), "NotFound");
  }
  for (const char* path : {"/healthz", "/readyz", "/metrics", "/admin/queues/orders/messages"}) {
    const HttpResult result = Post(path, "{}");
    EXPECT_EQ(result.status, 405) << path;
    EXPECT_EQ(result.headers.at("allow"), "GET");
  }
  EXPECT_EQ(Get("/admin/clock/advance").status, 405);
  EXPECT_EQ(Get("/healthz%zz").status, 400);
}

TEST_F(AdminTest, PeekShowsMessagesInOrder) {
  CreateQueue("orders", {{"BodyCharset", "binary"}});
  v1::SendMessageEntry first = Entry("espresso");
  (*first.mutable_attributes())["table"].set_data_type("Number");
  (*first.mutable_attributes())["table"].set_string_value("7");
  first.set_group_id("bar");
  ASSERT_TRUE(Send("orders", {first}).ok());
  ASSERT_TRUE(SendBody("orders", "\xFF\xFE").ok());
  const HttpResult result = Get("/admin/queues/orders/messages");
  ASSERT_EQ(result.status, 200) << result.body;
  const boost::json::value body = boost::json::parse(result.body);
  const boost::json::array& messages = body.at("messages").as_array();
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_EQ(Text(messages[0].at("body")), "espresso");
  EXPECT_EQ(messages[0].at("receive_count").to_number<int>(), 0);
  EXPECT_EQ(Text(messages[0].at("state")), "visible");
  EXPECT_EQ(Text(messages[0].at("group_id")), "bar");
  EXPECT_EQ(Text(messages[0].at("attributes").at("table").at("type")), "Number");
  EXPECT_EQ(Text(messages[0].at("attributes").at("table").at("value")), "7");
  EXPECT_EQ(Text(messages[0].at("sent_at")), TimeToText(server_->manual_clock()->Now()));
  EXPECT_EQ(messages[0].at("message_id").as_string().size(), 36u);
  EXPECT_EQ(Text(messages[1].at("body_base64")), "//4=");
  EXPECT_FALSE(messages[1].as_object().contains("body"));

  const boost::json::value one =
      boost::json::parse(Get("/admin/queues/orders/messages?max=1").body);
  EXPECT_EQ(one.at("messages").as_array().size(), 1u);
}

TEST_F(AdminTest, PeekRefusesWhatItDoesNotKnow) {
  CreateQueue("orders");
  for (const char* query : {"max=0", "max=1001", "max=x", "max=", "maximum=3"}) {
    const HttpResult result = Get(absl::StrCat("/admin/queues/orders/messages?", query));
    EXPECT_EQ(result.status, 400) << query;
    EXPECT_EQ(Reason(result), "InvalidParameterValue");
  }
  EXPECT_EQ(Get("/admin/queues/orders/messages?max=1000").status, 200);
  const HttpResult unknown = Get("/admin/queues/nowhere/messages");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(Reason(unknown), "QueueDoesNotExist");
}

TEST_F(AdminTest, ClockMovesWhenItIsTold) {
  CreateQueue("orders");
  ASSERT_TRUE(SendBody("orders", "espresso").ok());
  ASSERT_EQ(Receive("orders").size(), 1u);
  const absl::Time before = server_->manual_clock()->Now();
  const HttpResult result = Post("/admin/clock/advance", R"({"seconds":43200})");
  ASSERT_EQ(result.status, 200) << result.body;
  EXPECT_EQ(Text(boost::json::parse(result.body).at("now")), TimeToText(before + absl::Hours(12)));
  EXPECT_EQ(Receive("orders", 1, absl::Seconds(1)).size(), 1u);
}

TEST_F(AdminTest, ClockRefusesToGoBackOrNowhere) {
  const absl::Time before = server_->manual_clock()->Now();
  for (const char* body : {"", "{}", "[]", R"({"seconds":"1"})", R"({"seconds":-1})",
                           R"({"seconds":1e300})", R"({"seconds":315360001})"}) {
    const HttpResult result = Post("/admin/clock/advance", body);
    EXPECT_EQ(result.status, 400) << body;
    EXPECT_EQ(Reason(result), "InvalidParameterValue") << body;
  }
  EXPECT_EQ(server_->manual_clock()->Now(), before);
  EXPECT_EQ(Post("/admin/clock/advance", R"({"seconds":315360000})").status, 200);
}

TEST_F(AdminTest, HttpPortSaysThatItHasNoProtocolYet) {
  const HttpResult result = Http(server_->http_address(), "POST", "/000000000000/orders",
                                 "Action=SendMessage&MessageBody=x");
  EXPECT_EQ(result.status, 501);
  const boost::json::value body = boost::json::parse(result.body);
  EXPECT_EQ(Text(body.at("error").at("reason")), "NotImplemented");
  EXPECT_THAT(Text(body.at("error").at("message")), HasSubstr(server_->grpc_address()));
}

TEST_F(AdminTest, BodyPastItsLimitIsRefused) {
  EXPECT_EQ(Http(server_->http_address(), "POST", "/", std::string(2 << 20, 'x')).status, 501);
  EXPECT_EQ(Http(server_->http_address(), "POST", "/", std::string((2 << 20) + 1, 'x')).status,
            413);
}

class SystemClockAdminTest : public AdminTest {
 protected:
  void SetUp() override {
    ServerOptions options = Options();
    options.manual_clock = false;
    Start(options);
  }
};

TEST_F(SystemClockAdminTest, ClockCannotBeMoved) {
  EXPECT_EQ(server_->manual_clock(), nullptr);
  EXPECT_EQ(Post("/admin/clock/advance", R"({"seconds":1})").status, 404);
}

}  // namespace
}  // namespace barista::server
