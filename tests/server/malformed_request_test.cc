// Bytes that are no request, and requests that are too large: every method says so, and goes on.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <future>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "barista/v1/admin.grpc.pb.h"
#include "tests/server/server_fixture.h"
#include "tests/server/token_file.h"

namespace barista::server {
namespace {

using ::grpc::StatusCode;
using ::testing::HasSubstr;

class MalformedRequestTest : public ServerTest {
 protected:
  static std::vector<const google::protobuf::MethodDescriptor*> Methods() {
    std::vector<const google::protobuf::MethodDescriptor*> methods;
    for (const char* name :
         {v1::QueueService::service_full_name(), v1::AdminService::service_full_name()}) {
      const auto* service =
          google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name);
      for (int i = 0; i < service->method_count(); ++i) methods.push_back(service->method(i));
    }
    return methods;
  }

  // How a call of `method` ends whose only request is `bytes`.
  grpc::Status Call(const google::protobuf::MethodDescriptor& method, const std::string& bytes,
                    const std::string& authorization = "") {
    class Reactor : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
     public:
      Reactor(grpc::GenericStub* stub, const std::string& path, const std::string& bytes,
              const std::string& authorization) {
        if (!authorization.empty()) context_.AddMetadata("authorization", authorization);
        const grpc::Slice slice(bytes);
        request_ = grpc::ByteBuffer(&slice, 1);
        stub->PrepareBidiStreamingCall(&context_, path, {}, this);
        StartWriteLast(&request_, grpc::WriteOptions());
        StartRead(&response_);
        StartCall();
      }
      void OnReadDone(bool ok) override {
        if (ok) StartRead(&response_);
      }
      void OnDone(const grpc::Status& status) override { done_.set_value(status); }
      grpc::Status Wait() { return done_.get_future().get(); }

     private:
      grpc::ClientContext context_;
      grpc::ByteBuffer request_, response_;
      std::promise<grpc::Status> done_;
    };
    grpc::GenericStub stub(channel_);
    Reactor reactor(&stub, absl::StrCat("/", method.service()->full_name(), "/", method.name()),
                    bytes, authorization);
    return reactor.Wait();
  }
};

TEST_F(MalformedRequestTest, IsTheAnswerOfEveryMethod) {
  CreateQueue("orders");
  for (const auto* method : Methods()) {
    // A field cut off, a wire type that there is not, and a string that is not UTF-8.
    for (const char* bytes : {"\x0a\x7f", "\x0f", "\x0a\x02\xc3\x28"}) {
      EXPECT_TRUE(
          FailedWith(Call(*method, bytes), StatusCode::INVALID_ARGUMENT, "MalformedRequest"))
          << method->full_name();
    }
  }
  EXPECT_TRUE(SendBody("orders", "espresso").ok());
  EXPECT_EQ(Receive("orders").size(), 1u);
}

TEST_F(MalformedRequestTest, OfWhoMayNotComeInIsRefusedAsAnyOther) {
  const TemporaryDirectory directory;
  WritePrivateFile(directory / "tokens.yaml",
                   absl::StrCat("tokens:\n  - {name: a, sha256: ", Sha256Hex("a-secret"), "}\n"));
  ASSERT_TRUE(server_->Shutdown().ok());
  ServerOptions options = Options();
  options.security.token_file = directory / "tokens.yaml";
  Start(options);
  for (const auto* method : Methods()) {
    EXPECT_TRUE(FailedWith(Call(*method, "\x0f"), StatusCode::UNAUTHENTICATED,
                           "MissingAuthenticationToken"))
        << method->full_name();
  }
  const auto* list = Methods().front();
  EXPECT_TRUE(FailedWith(Call(*list, "\x0f", "Bearer a-secret"), StatusCode::INVALID_ARGUMENT,
                         "MalformedRequest"));
}

// gRPC reads no further than the limit, so the answer is its own: without ErrorInfo, but with both
// numbers.
TEST_F(MalformedRequestTest, OfMoreThanEightMebibytesNamesSizeAndLimit) {
  for (const auto* method : Methods()) {
    const grpc::Status status = Call(*method, std::string((8 << 20) + 1, '\xff'));
    EXPECT_EQ(status.error_code(), StatusCode::RESOURCE_EXHAUSTED) << method->full_name();
    EXPECT_THAT(status.error_message(), HasSubstr("8388609 vs. 8388608")) << method->full_name();
  }
}

}  // namespace
}  // namespace barista::server
