// The gRPC calls of administration.

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "barista/backup.h"
#include "barista/v1/admin.grpc.pb.h"
#include "broker/server/admin_call.h"
#include "broker/server/call_metrics.h"
#include "broker/server/grpc_calls.h"
#include "tests/server/server_fixture.h"

namespace barista::server {
namespace {

class AdminServiceTest : public ServerTest {
 protected:
  grpc::Status Backup(const std::string& directory, v1::BackupResponse* response) {
    v1::BackupRequest request;
    request.set_directory(directory);
    return v1::AdminService::NewStub(channel_)->Backup(Context().get(), request, response);
  }
};

class DurableAdminServiceTest : public AdminServiceTest {
 protected:
  void SetUp() override {
    ServerOptions options = Options();
    options.broker.data_dir = directory_ / "data";
    Start(options);
  }
  TemporaryDirectory directory_;
};

TEST_F(DurableAdminServiceTest, ABackupIsWrittenThatCanBeRestored) {
  CreateQueue("q");
  ASSERT_TRUE(SendBody("q", "two espressos").ok());
  v1::BackupResponse response;
  const grpc::Status status = Backup(directory_ / "backup", &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_GT(response.files(), 0);
  EXPECT_GT(response.bytes(), 0);

  server_->Shutdown().IgnoreError();
  ASSERT_TRUE(RestoreBackup(directory_ / "backup", directory_ / "restored").ok());
  ServerOptions options = Options();
  options.broker.data_dir = directory_ / "restored";
  Start(options);
  const std::vector<v1::Message> messages = Receive("q");
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].body(), "two espressos");
}

TEST_F(DurableAdminServiceTest, ErrorsNameWhatIsWrong) {
  v1::BackupResponse response;
  EXPECT_TRUE(FailedWith(Backup("relative", &response), grpc::StatusCode::INVALID_ARGUMENT,
                         "InvalidParameterValue"));
  EXPECT_TRUE(FailedWith(Backup("", &response), grpc::StatusCode::INVALID_ARGUMENT,
                         "InvalidParameterValue"));
  std::filesystem::create_directories(directory_ / "full/of");
  const grpc::Status status = Backup(directory_ / "full", &response);
  EXPECT_TRUE(FailedWith(status, grpc::StatusCode::ALREADY_EXISTS, "DirectoryNotEmpty"));
  EXPECT_EQ(DetailsOf(status).field, "dir");
  EXPECT_EQ(DetailsOf(status).value, directory_ / "full");
}

TEST_F(AdminServiceTest, ABrokerInMemoryHasNoBackups) {
  v1::BackupResponse response;
  EXPECT_TRUE(FailedWith(Backup("/tmp/none", &response), grpc::StatusCode::FAILED_PRECONDITION,
                         "UnsupportedOperation"));
}

// Calls last until their callers are gone.
class PatientService final : public v1::AdminService::CallbackService {
 public:
  explicit PatientService(Executor* executor) : executor_(executor) {}
  grpc::ServerUnaryReactor* Backup(grpc::CallbackServerContext* context, const v1::BackupRequest*,
                                   v1::BackupResponse*) override {
    auto* const call = new AdminCall(calls_.Begin(context, "barista.v1.AdminService/Backup"));
    call->Start(executor_, [this](const AdminCall::Cancelled& cancelled) {
      begun = true;
      while (!cancelled()) std::this_thread::yield();
      ended = true;
      return absl::CancelledError("given up");
    });
    return call;
  }
  std::atomic<bool> begun{false};
  std::atomic<bool> ended{false};

 private:
  Executor* const executor_;
  const CallMetrics metrics_{{v1::AdminService::service_full_name()}};
  GrpcCalls calls_{&metrics_};
};

TEST(AdminCallTest, ACallIsGivenUpWhenItsCallerIsGone) {
  Executor executor(1);
  PatientService service(&executor);
  grpc::ServerBuilder builder;
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  const auto stub = v1::AdminService::NewStub(server->InProcessChannel({}));
  grpc::ClientContext context;
  v1::BackupResponse response;
  grpc::Status status;
  std::thread caller([&] { status = stub->Backup(&context, v1::BackupRequest(), &response); });
  EXPECT_TRUE(Eventually([&] { return service.begun.load(); }));
  context.TryCancel();
  caller.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(Eventually([&] { return service.ended.load(); }));
  server->Shutdown();
}

TEST(AdminCallTest, IsRefusedWhereTooMuchWaits) {
  Executor executor(1);
  executor.Stop();
  PatientService service(&executor);
  grpc::ServerBuilder builder;
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  grpc::ClientContext context;
  v1::BackupResponse response;
  const grpc::Status status = v1::AdminService::NewStub(server->InProcessChannel({}))
                                  ->Backup(&context, v1::BackupRequest(), &response);
  EXPECT_TRUE(FailedWith(status, grpc::StatusCode::RESOURCE_EXHAUSTED, "ServerBusy"));
  server->Shutdown();
}

}  // namespace
}  // namespace barista::server
