#include "tests/fuzz/service_player.h"

#include <google/protobuf/descriptor.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <type_traits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "barista/rpc/status.pb.h"
#include "barista/v1/admin.grpc.pb.h"
#include "barista/v1/queue.grpc.pb.h"

namespace barista::fuzz {
namespace {

constexpr char kQueueService[] = "/barista.v1.QueueService/";
constexpr char kAdminService[] = "/barista.v1.AdminService/";
constexpr char kReceive[] = "/barista.v1.QueueService/ReceiveMessage";

grpc::ByteBuffer Buffer(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

std::string BytesOf(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (!buffer.Dump(&slices).ok()) return bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

// All requests one after the other, and everything that comes.
class Exchange final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  Exchange(grpc::GenericStub* stub, const std::string& path,
           const std::vector<std::string>& requests) {
    for (const std::string& request : requests) requests_.push_back(Buffer(request));
    context_.set_deadline(std::chrono::system_clock::now() +
                          absl::ToChronoMilliseconds(ServicePlayer::kPatience));
    stub->PrepareBidiStreamingCall(&context_, path, {}, this);
    Write();
    StartRead(&response_);
    StartCall();
  }

  void OnWriteDone(bool ok) override {
    if (ok && next_ <= requests_.size()) Write();
  }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    responses.push_back(BytesOf(response_));
    StartRead(&response_);
  }
  void OnDone(const grpc::Status& status) override { done_.set_value(status); }

  std::future<grpc::Status> Status() { return done_.get_future(); }

  std::vector<std::string> responses;  // once it is done

 private:
  void Write() {
    const size_t i = next_++;
    if (i == requests_.size()) return StartWritesDone();
    if (i + 1 == requests_.size()) {
      ++next_;
      return StartWriteLast(&requests_[i], grpc::WriteOptions());
    }
    StartWrite(&requests_[i]);
  }

  grpc::ClientContext context_;
  std::vector<grpc::ByteBuffer> requests_;
  size_t next_ = 0;
  grpc::ByteBuffer response_;
  std::promise<grpc::Status> done_;
};

// The codes of error.proto; CANCELLED and DEADLINE_EXCEEDED are never the broker's here.
bool IsKnown(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::NOT_FOUND:
    case grpc::StatusCode::ALREADY_EXISTS:
    case grpc::StatusCode::FAILED_PRECONDITION:
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return true;
    default:
      return false;
  }
}

// What is wrong with the results of a batch; "" for nothing.
template <typename Response>
std::string WrongResults(absl::string_view bytes, int entries) {
  Response response;
  if (!response.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return "no response";
  if (response.results_size() != entries) {
    return absl::StrCat(response.results_size(), " results of ", entries, " entries");
  }
  int failed = 0;
  for (const auto& result : response.results()) {
    if (!result.has_error()) continue;
    ++failed;
    if (result.error().reason().empty() || result.error().message().empty() ||
        !IsKnown(static_cast<grpc::StatusCode>(result.error().code()))) {
      return absl::StrCat("error of an entry: ", result.error().ShortDebugString());
    }
  }
  if (failed != response.failed()) return absl::StrCat("failed is not ", failed);
  return "";
}

template <typename Request>
int Entries(absl::string_view bytes) {
  Request request;
  request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  if constexpr (std::is_same_v<Request, v1::DeleteMessageRequest>) {
    return request.receipt_handles_size();
  } else {
    return request.entries_size();
  }
}

}  // namespace

ServicePlayer::ServicePlayer() {
  spdlog::set_level(spdlog::level::off);
  google::protobuf::SetLogHandler(nullptr);  // it tells of each string that is not UTF-8
  std::string pattern = (std::filesystem::temp_directory_path() / "barista-fuzz-XXXXXX").string();
  const char* const made = ::mkdtemp(pattern.data());
  if (made == nullptr) Broken("start", "no temporary directory");
  directory_ = made;
  server::ServerOptions options;
  options.http_listen = options.admin_listen = "127.0.0.1:0";
  options.grpc_listen = absl::StrCat("unix:", directory_, "/grpc.sock");
  options.manual_clock = true;
  absl::StatusOr<std::unique_ptr<server::Server>> server = server::Server::Start(options);
  if (!server.ok()) Broken("start", server.status().ToString());
  server_ = *std::move(server);
  channel_ = grpc::CreateChannel(server_->grpc_address(), grpc::InsecureChannelCredentials());
  stub_ = std::make_unique<grpc::GenericStub>(channel_);
}

ServicePlayer::~ServicePlayer() {
  stub_.reset();
  channel_.reset();
  server_->Shutdown().IgnoreError();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void ServicePlayer::Play(const Script& script) {
  handles_.clear();
  time_moved_ = false;
  for (const Step& step : script.steps()) PlayStep(step);
  CheckThatItServes();
}

ServicePlayer::Outcome ServicePlayer::Call(const std::string& path,
                                           const std::vector<std::string>& requests) {
  Exchange exchange(stub_.get(), path, requests);
  std::future<grpc::Status> status = exchange.Status();
  if (path == kReceive) {
    while (status.wait_for(std::chrono::microseconds(200)) != std::future_status::ready) {
      if (server_->broker().Stats().parked_receives > 0) {
        Advance(absl::Hours(1));
      }
    }
  }
  Outcome outcome;
  outcome.status = status.get();
  outcome.responses = std::move(exchange.responses);
  if (outcome.status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    Broken(path, "does not end");
  }
  if (!outcome.status.ok()) CheckFailure(path, outcome.status);
  return outcome;
}

void ServicePlayer::PlayStep(Step step) {
  Resolve(&step);
  const auto unary = [this](const char* service, const char* method, const auto& request) {
    PlayUnary(absl::StrCat(service, method), request.SerializeAsString());
  };
  const auto stream = [this](const char* method, const auto& script) {
    std::vector<std::string> requests;
    for (const auto& request : script.requests()) requests.push_back(request.SerializeAsString());
    PlayStream(absl::StrCat(kQueueService, method), requests);
  };
  switch (step.call_case()) {
    case Step::kCreateQueue:
      return unary(kQueueService, "CreateQueue", step.create_queue());
    case Step::kGetQueue:
      return unary(kQueueService, "GetQueue", step.get_queue());
    case Step::kSetQueueAttributes:
      return unary(kQueueService, "SetQueueAttributes", step.set_queue_attributes());
    case Step::kDeleteQueue:
      return unary(kQueueService, "DeleteQueue", step.delete_queue());
    case Step::kListQueues:
      return unary(kQueueService, "ListQueues", step.list_queues());
    case Step::kPurgeQueue:
      return unary(kQueueService, "PurgeQueue", step.purge_queue());
    case Step::kTagQueue:
      return unary(kQueueService, "TagQueue", step.tag_queue());
    case Step::kUntagQueue:
      return unary(kQueueService, "UntagQueue", step.untag_queue());
    case Step::kSendMessage:
      return unary(kQueueService, "SendMessage", step.send_message());
    case Step::kReceiveMessage:
      return unary(kQueueService, "ReceiveMessage", step.receive_message());
    case Step::kDeleteMessage:
      return unary(kQueueService, "DeleteMessage", step.delete_message());
    case Step::kChangeMessageVisibility:
      return unary(kQueueService, "ChangeMessageVisibility", step.change_message_visibility());
    case Step::kPeekMessages:
      return unary(kQueueService, "PeekMessages", step.peek_messages());
    case Step::kBackup:
      return unary(kAdminService, "Backup", step.backup());
    case Step::kSendStream:
      return stream("SendStream", step.send_stream());
    case Step::kConsumeStream:
      return stream("ConsumeStream", step.consume_stream());
    case Step::kBytes:
      return PlayBytes(step.bytes());
    case Step::kAdvanceSeconds:
      return Advance(absl::Seconds(step.advance_seconds() % 1'000'000));
    case Step::CALL_NOT_SET:
      return;
  }
}

void ServicePlayer::PlayUnary(const std::string& path, const std::string& request) {
  const std::string before = Snapshot();
  const bool had_moved = time_moved_;
  const Outcome outcome = Call(path, {request});
  if (!outcome.status.ok()) {
    const std::string after = Snapshot();
    if (time_moved_ != had_moved) return;  // it waited: the two do not show the same
    if (after != before) Broken(path, absl::StrCat("refused, but\n", before, "became\n", after));
    return;
  }
  if (outcome.responses.size() != 1) Broken(path, "OK without a response");
  Learn(path, request, outcome.responses.front());
}

void ServicePlayer::PlayStream(const std::string& path, const std::vector<std::string>& requests) {
  Call(path, requests);
}

void ServicePlayer::PlayBytes(const Bytes& bytes) {
  const auto* const pool = google::protobuf::DescriptorPool::generated_pool();
  const auto* const queues = pool->FindServiceByName(v1::QueueService::service_full_name());
  const auto* const admin = pool->FindServiceByName(v1::AdminService::service_full_name());
  const int count = queues->method_count() + admin->method_count();
  const int index = static_cast<int>(bytes.method() % static_cast<uint32_t>(count));
  const auto* const method = index < queues->method_count()
                                 ? queues->method(index)
                                 : admin->method(index - queues->method_count());
  const std::string path = absl::StrCat("/", method->service()->full_name(), "/", method->name());
  if (method->client_streaming()) {
    PlayStream(path, {bytes.requests().begin(), bytes.requests().end()});
  } else if (bytes.requests_size() > 0) {
    PlayUnary(path, bytes.requests(0));
  }
}

void ServicePlayer::Resolve(Step* step) const {
  const auto resolve = [this](std::string* handle) {
    absl::string_view number = *handle;
    size_t index = 0;
    if (absl::ConsumePrefix(&number, "$") && absl::SimpleAtoi(number, &index) &&
        index < handles_.size()) {
      *handle = handles_[index];
    }
  };
  if (step->has_delete_message()) {
    for (std::string& handle : *step->mutable_delete_message()->mutable_receipt_handles()) {
      resolve(&handle);
    }
  } else if (step->has_change_message_visibility()) {
    for (auto& entry : *step->mutable_change_message_visibility()->mutable_entries()) {
      resolve(entry.mutable_receipt_handle());
    }
  }
}

void ServicePlayer::Learn(const std::string& path, absl::string_view request,
                          absl::string_view response) {
  std::string wrong;
  if (path == kReceive) {
    v1::ReceiveMessageResponse received;
    received.ParseFromArray(response.data(), static_cast<int>(response.size()));
    for (const v1::Message& message : received.messages()) {
      handles_.push_back(message.receipt_handle());
    }
  } else if (path == absl::StrCat(kQueueService, "SendMessage")) {
    wrong =
        WrongResults<v1::SendMessageResponse>(response, Entries<v1::SendMessageRequest>(request));
  } else if (path == absl::StrCat(kQueueService, "DeleteMessage")) {
    wrong = WrongResults<v1::DeleteMessageResponse>(response,
                                                    Entries<v1::DeleteMessageRequest>(request));
  } else if (path == absl::StrCat(kQueueService, "ChangeMessageVisibility")) {
    wrong = WrongResults<v1::ChangeMessageVisibilityResponse>(
        response, Entries<v1::ChangeMessageVisibilityRequest>(request));
  }
  if (!wrong.empty()) Broken(path, wrong);
}

void ServicePlayer::CheckFailure(const std::string& path, const grpc::Status& status) const {
  rpc::Status details;
  rpc::ErrorInfo info;
  const bool has_info = details.ParseFromString(status.error_details()) &&
                        details.details_size() == 1 &&
                        info.ParseFromString(details.details(0).value());
  if (!has_info || info.domain() != "barista" || info.reason().empty() ||
      details.code() != status.error_code() || status.error_message().empty() ||
      !IsKnown(status.error_code())) {
    Broken(path, absl::StrCat("status ", status.error_code(), " \"", status.error_message(),
                              "\" with ", details.ShortDebugString()));
  }
}

void ServicePlayer::CheckThatItServes() {
  Broker& broker = server_->broker();
  const absl::StatusOr<ListQueuesResult> queues = broker.ListQueues({});
  if (!queues.ok()) Broken("ListQueues", queues.status().ToString());
  for (const std::string& queue : queues->names) {
    if (!broker.DeleteQueue(queue).ok()) Broken("DeleteQueue", queue);
  }
  const auto good = [this](const char* method, const auto& request, auto* response) {
    const std::string path = absl::StrCat(kQueueService, method);
    const Outcome outcome = Call(path, {request.SerializeAsString()});
    if (!outcome.status.ok()) Broken(path, "a good call fails: " + outcome.status.error_message());
    response->ParseFromString(outcome.responses.front());
  };
  v1::CreateQueueRequest create;
  create.set_queue("good");
  v1::CreateQueueResponse created;
  good("CreateQueue", create, &created);
  v1::SendMessageRequest send;
  send.set_queue("good");
  send.add_entries()->set_body("espresso");
  v1::SendMessageResponse sent;
  good("SendMessage", send, &sent);
  v1::ReceiveMessageRequest receive;
  receive.set_queue("good");
  v1::ReceiveMessageResponse received;
  good("ReceiveMessage", receive, &received);
  if (received.messages_size() != 1 || received.messages(0).body() != "espresso") {
    Broken(kReceive, "a good message is lost");
  }
  if (!broker.DeleteQueue("good").ok()) Broken("DeleteQueue", "good");
}

std::string ServicePlayer::Snapshot() const {
  Broker& broker = server_->broker();
  const BrokerStats stats = broker.Stats();
  std::string text;
  if (!time_moved_)
    absl::StrAppend(&text, stats.messages_sent, " sent, ", stats.messages_received, " received, ",
                    stats.messages_deleted, " deleted\n");
  const absl::StatusOr<ListQueuesResult> queues = broker.ListQueues({});
  if (!queues.ok()) return queues.status().ToString();
  for (const std::string& name : queues->names) {
    absl::StatusOr<Queue> queue = broker.GetQueue(name);
    if (!queue.ok()) continue;
    const absl::StatusOr<QueueDescription> description = queue->Describe();
    if (!description.ok()) continue;
    absl::StrAppend(&text, name, ":");
    for (const auto& [key, value] : FormatQueueAttributes(*description)) {
      const bool depth = absl::StartsWith(key, "ApproximateNumber");
      if (!depth || !time_moved_) absl::StrAppend(&text, " ", key, "=", value);
    }
    for (const auto& [key, value] : description->tags) {
      absl::StrAppend(&text, " tag ", key, "=", value);
    }
    absl::StrAppend(&text, "\n");
  }
  return text;
}

void ServicePlayer::Advance(absl::Duration step) {
  time_moved_ = true;
  server_->manual_clock()->Advance(step);
}

void ServicePlayer::Broken(const std::string& path, const std::string& what) const {
  std::fprintf(stderr, "%s: %s\n", path.c_str(), what.c_str());
  std::abort();
}

}  // namespace barista::fuzz
