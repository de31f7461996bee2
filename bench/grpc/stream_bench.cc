// Streams of `barista serve` beside their floors. Servers are processes of their own, with a fresh
// data directory for each run; runs alternate A/B/A/B.
//
//   cycle, memory: SendStream and ConsumeStream, against frames of the same bytes that come back
//   sends, fsync:  SendStream, against a stream that hands its messages to one writer thread
//   cycle, fsync:  SendStream and ConsumeStream, against the embedded broker under the same load
//   cycle, TLS:    the cycles at fsync and in memory, against themselves without TLS
//
//   stream_bench --barista build/release/bin/barista [--rounds 5] [--seconds 2] [--only NAME]

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "barista/v1/queue.grpc.pb.h"
#include "bench/common/child.h"
#include "bench/common/scratch_dir.h"
#include "bench/common/summary.h"
#include "bench/grpc/frame_stream.h"
#include "bench/grpc/serve_process.h"
#include "bench/grpc/skeleton.pb.h"
#include "bench/grpc/skeleton_server.h"
#include "client/load/embedded_target.h"
#include "client/load/load_generator.h"
#include "client/load/report.h"

namespace barista::bench {
namespace {

constexpr char kSendStream[] = "/barista.v1.QueueService/SendStream";
constexpr char kConsumeStream[] = "/barista.v1.QueueService/ConsumeStream";

struct Settings {
  bool echo = false;         // be the echo server
  std::string skeleton_dir;  // not empty: be the skeleton on this directory
  std::string barista;
  std::string only;
  int rounds = 5;
  double seconds = 2;
  int body_bytes = 1024;
};

// For 127.0.0.1, signed by itself. Empty: none.
struct Certificate {
  std::string file, key_file;
  std::string pem;
};

// What a run measured.
struct Result {
  double messages_per_second = 0;
  double server_us_per_message = 0;  // of its processor
};

// Made by the openssl command.
absl::StatusOr<Certificate> MakeCertificate(const ScratchDir& dir) {
  Certificate certificate{dir / "cert.pem", dir / "key.pem", ""};
  auto openssl = Child::Spawn({"/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                               "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj",
                               "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
                               certificate.key_file, "-out", certificate.file});
  if (!openssl.ok()) return openssl.status();
  while (openssl->ReadLine().ok()) {
  }
  std::ifstream file(certificate.file);
  certificate.pem.assign(std::istreambuf_iterator<char>(file), {});
  if (certificate.pem.empty()) return absl::InternalError("openssl made no certificate");
  return certificate;
}

int ServeForever(int port) {
  std::printf("%d\n", port);
  std::fflush(stdout);
  for (;;) pause();
}

// Counts `done` for a while, after some time to get going.
absl::StatusOr<Result> Measure(const Settings& settings, pid_t server,
                               const std::atomic<uint64_t>& done,
                               const std::function<std::string()>& error) {
  absl::SleepFor(absl::Milliseconds(500));
  const uint64_t before = done;
  const absl::Duration cpu_before = UsageOf(server).cpu;
  const absl::Time start = absl::Now();
  absl::SleepFor(absl::Seconds(settings.seconds));
  const double messages = static_cast<double>(done - before);
  const absl::Duration cpu = UsageOf(server).cpu - cpu_before;
  if (const std::string why = error(); !why.empty()) return absl::InternalError(why);
  if (messages == 0) return absl::InternalError("nothing was done in the measured time");
  return Result{messages / absl::ToDoubleSeconds(absl::Now() - start),
                absl::ToDoubleMicroseconds(cpu) / messages};
}

grpc::ByteBuffer SendFrame(const Settings& settings, int batch) {
  v1::SendStreamRequest request;
  request.set_queue("orders");
  for (int i = 0; i < batch; ++i) {
    request.add_entries()->set_body(std::string(settings.body_bytes, 'x'));
  }
  return ToByteBuffer(request);
}

// ---- The client's side ----

// Keeps `window` messages sent and not settled.
class Sender {
 public:
  // `settled` reads the count of settled messages from a response.
  Sender(const std::shared_ptr<grpc::Channel>& channel, const char* method, grpc::ByteBuffer frame,
         int batch, std::function<uint64_t(grpc::ByteBuffer&)> settled)
      : frame_(std::move(frame)),
        batch_(static_cast<uint64_t>(batch)),
        stream_(channel, method, [this, settled = std::move(settled)](grpc::ByteBuffer& bytes) {
          settled_ = settled(bytes);
          if (on_settled_) on_settled_();
        }) {}

  // Before the first Send.
  void set_on_settled(std::function<void()> on_settled) { on_settled_ = std::move(on_settled); }

  // Sends while `may` says so of the number of messages sent.
  void Send(const std::function<bool(uint64_t sent)>& may) {
    const std::lock_guard<std::mutex> lock(mutex_);
    while (may(sent_)) {
      sent_ += batch_;
      stream_.Write(frame_);
    }
  }
  const std::atomic<uint64_t>& settled() const { return settled_; }
  std::string error() const { return stream_.error(); }

 private:
  const grpc::ByteBuffer frame_;
  const uint64_t batch_;
  std::function<void()> on_settled_;
  std::atomic<uint64_t> settled_{0};
  std::mutex mutex_;
  uint64_t sent_ = 0;  // guarded by mutex_
  FrameStream stream_;
};

uint64_t SettledOf(grpc::ByteBuffer& bytes) {
  v1::SendStreamResponse response;
  FromByteBuffer(bytes, &response);
  if (response.failures_size() > 0) {
    std::fprintf(stderr, "%s\n", response.failures(0).error().message().c_str());
    return 0;
  }
  return response.settled();
}

// The messages of a ConsumeStreamResponse, without making objects of them: how many, and the number
// of the first.
std::pair<uint64_t, uint64_t> DeliveriesOf(grpc::ByteBuffer& bytes) {
  constexpr uint32_t kFirstDelivery = 1, kMessages = 2;
  grpc::Slice whole;
  if (!bytes.TrySingleSlice(&whole).ok()) bytes.DumpToSingleSlice(&whole);
  google::protobuf::io::CodedInputStream in(whole.begin(), static_cast<int>(whole.size()));
  uint64_t first = 0, count = 0;
  while (const uint32_t tag = in.ReadTag()) {
    uint64_t number = 0;
    if (tag >> 3 == kFirstDelivery) {
      in.ReadVarint64(&first);
    } else if ((tag & 7) == 0) {
      in.ReadVarint64(&number);
    } else {
      uint32_t length = 0;
      in.ReadVarint32(&length);
      in.Skip(static_cast<int>(length));
      if (tag >> 3 == kMessages) ++count;
    }
  }
  return {first, count};
}

// Deletes what is delivered and gives new credit for it.
class Consumer {
 public:
  Consumer(const std::shared_ptr<grpc::Channel>& channel, uint32_t credit,
           std::function<void()> on_deleted)
      : on_deleted_(std::move(on_deleted)),
        stream_(channel, kConsumeStream, [this](grpc::ByteBuffer& bytes) { OnFrame(bytes); }) {
    v1::ConsumeStreamRequest request;
    request.mutable_start()->set_queue("orders");
    request.set_credit(credit);
    stream_.Write(ToByteBuffer(request));
  }
  // Messages of which the delete has been asked for.
  const std::atomic<uint64_t>& deleted() const { return deleted_; }
  std::string error() const { return stream_.error(); }

 private:
  void OnFrame(grpc::ByteBuffer& bytes) {
    const auto [first, count] = DeliveriesOf(bytes);
    if (count == 0) return;
    v1::ConsumeStreamRequest request;
    request.set_credit(static_cast<uint32_t>(count));
    request.add_deletes()->set_first(first);
    request.mutable_deletes(0)->set_count(count);
    stream_.Write(ToByteBuffer(request));
    deleted_ += count;
    on_deleted_();
  }

  const std::function<void()> on_deleted_;
  std::atomic<uint64_t> deleted_{0};
  FrameStream stream_;
};

// ---- Runs ----

absl::StatusOr<Result> RunEcho(const Settings& settings, int batch, int frames) {
  auto child = Child::Spawn({"/proc/self/exe", "--echo"});
  if (!child.ok()) return child.status();
  auto port = child->ReadLine();
  if (!port.ok()) return port.status();
  const grpc::ByteBuffer frame = SendFrame(settings, batch);
  std::atomic<uint64_t> done{0};
  FrameStream* echo = nullptr;
  FrameStream stream(ConnectTo(absl::StrCat("127.0.0.1:", *port)), "/barista.bench/Echo",
                     [&](grpc::ByteBuffer& bytes) {
                       done += static_cast<uint64_t>(batch);
                       echo->Write(bytes);
                     });
  echo = &stream;
  for (int i = 0; i < frames; ++i) stream.Write(frame);
  return Measure(settings, child->pid(), done, [&] { return stream.error(); });
}

absl::StatusOr<Result> RunSends(const Settings& settings, pid_t server, const std::string& address,
                                const char* method, const grpc::ByteBuffer& frame, int batch,
                                int window, std::function<uint64_t(grpc::ByteBuffer&)> settled) {
  Sender sender(ConnectTo(address), method, frame, batch, std::move(settled));
  const auto go_on = [&] {
    sender.Send([&](uint64_t sent) {
      return sent + static_cast<uint64_t>(batch) <=
             sender.settled() + static_cast<uint64_t>(window);
    });
  };
  sender.set_on_settled(go_on);
  go_on();
  return Measure(settings, server, sender.settled(), [&] { return sender.error(); });
}

absl::StatusOr<Result> RunSkeletonSends(const Settings& settings, int batch, int window) {
  ScratchDir dir;
  auto child = Child::Spawn({"/proc/self/exe", "--skeleton", dir / "db"});
  if (!child.ok()) return child.status();
  auto port = child->ReadLine();
  if (!port.ok()) return port.status();
  SkeletonRequest request;
  request.set_queue("orders");
  for (int i = 0; i < batch; ++i) {
    request.add_messages()->set_body(std::string(settings.body_bytes, 'x'));
  }
  return RunSends(settings, child->pid(), absl::StrCat("127.0.0.1:", *port),
                  "/barista.bench.Skeleton/SendStream", ToByteBuffer(request), batch, window,
                  [](grpc::ByteBuffer& bytes) {
                    SkeletonAcknowledgement acknowledgement;
                    FromByteBuffer(bytes, &acknowledgement);
                    return acknowledgement.messages();
                  });
}

// `barista serve` with a queue "orders"; over TLS if there is a certificate.
absl::StatusOr<ServeProcess> Serve(const Settings& settings, const ScratchDir& dir,
                                   const std::string& durability,
                                   const Certificate& certificate = {}) {
  std::vector<std::string> flags = {"--default-durability", durability};
  if (!certificate.file.empty()) {
    flags.insert(flags.end(), {"--tls-cert", certificate.file, "--tls-key", certificate.key_file});
  }
  auto server = ServeProcess::Start(settings.barista, dir.path(), flags);
  if (!server.ok()) return server.status();
  const auto channel = ConnectTo(server->grpc_address(), certificate.pem);
  grpc::ClientContext context;
  v1::CreateQueueRequest request;
  request.set_queue("orders");
  v1::CreateQueueResponse response;
  const grpc::Status created =
      v1::QueueService::NewStub(channel)->CreateQueue(&context, request, &response);
  if (!created.ok()) return FromGrpcStatus(created);
  return server;
}

absl::StatusOr<Result> RunBaristaSends(const Settings& settings, int batch, int window) {
  ScratchDir dir;
  auto server = Serve(settings, dir, "fsync");
  if (!server.ok()) return server.status();
  return RunSends(settings, server->pid(), server->grpc_address(), kSendStream,
                  SendFrame(settings, batch), batch, window, SettledOf);
}

absl::StatusOr<Result> RunBaristaCycle(const Settings& settings, const std::string& durability,
                                       int batch, int window, const Certificate& certificate = {}) {
  ScratchDir dir;
  auto server = Serve(settings, dir, durability, certificate);
  if (!server.ok()) return server.status();
  // A connection each, as two programs would have.
  Sender sender(ConnectTo(server->grpc_address(), certificate.pem), kSendStream,
                SendFrame(settings, batch), batch, SettledOf);
  std::atomic<const std::atomic<uint64_t>*> deleted{nullptr};
  const auto go_on = [&] {
    const std::atomic<uint64_t>* const count = deleted;
    if (count == nullptr) return;
    sender.Send([&](uint64_t sent) {
      return sent + static_cast<uint64_t>(batch) <= *count + static_cast<uint64_t>(window);
    });
  };
  Consumer consumer(ConnectTo(server->grpc_address(), certificate.pem),
                    static_cast<uint32_t>(window), go_on);
  deleted = &consumer.deleted();
  go_on();
  return Measure(settings, server->pid(), consumer.deleted(), [&] {
    const std::string error = sender.error();
    return error.empty() ? consumer.error() : error;
  });
}

absl::StatusOr<Result> RunEmbeddedCycle(const Settings& settings, int batch, int window) {
  ScratchDir dir;
  BrokerOptions options;
  options.data_dir = dir / "data";
  auto broker = Broker::Open(options);
  if (!broker.ok()) return broker.status();
  auto target = load::NewEmbeddedTarget(broker->get());
  load::LoadOptions load;
  load.body = static_cast<size_t>(settings.body_bytes);
  load.send_batch = batch;
  load.receive_batch = batch;
  load.in_flight = window;
  load.measured = absl::Seconds(settings.seconds);
  auto report = RunLoad(*target, load);
  if (!report.ok()) return report.status();
  if (!report->good()) return absl::InternalError(load::ReportText(*report));
  return Result{report->completed_per_second, report->cpu_us_per_message};
}

// ---- The table ----

using Run = std::function<absl::StatusOr<Result>()>;

// False if a run failed; `reached` becomes false if the promise is missed.
bool Compare(const Settings& settings, const std::string& what, const Run& ours, const Run& floor,
             const std::string& floor_name, double reach, bool* reached) {
  Sample our_rate, our_cpu, floor_rate, floor_cpu;
  Promise promise;
  for (int round = 0; round < settings.rounds; ++round) {
    const auto a = ours();
    const auto b = a.ok() ? floor() : a;
    if (!b.ok()) {
      std::fprintf(stderr, "%s: %s\n", what.c_str(), b.status().ToString().c_str());
      return false;
    }
    our_rate.Add(a->messages_per_second);
    our_cpu.Add(a->server_us_per_message);
    floor_rate.Add(b->messages_per_second);
    floor_cpu.Add(b->server_us_per_message);
    promise.ratios.Add(a->messages_per_second / b->messages_per_second);
  }
  promise.what = what;
  promise.measured = absl::StrCat(our_rate.ToString(), " messages/s, ", Compact(our_cpu.median()),
                                  " us server CPU/message");
  promise.floor = absl::StrCat(floor_name, " ", floor_rate.ToString(), " messages/s, ",
                               Compact(floor_cpu.median()), " us CPU/message");
  promise.reach = reach;
  *reached = PrintRow(promise) && *reached;
  return true;
}

int Main(const Settings& settings) {
  bool reached = true, worked = true;
  const auto wanted = [&](const char* name) {
    return worked && (settings.only.empty() || settings.only == name);
  };
  const std::string body = absl::StrCat(settings.body_bytes, " B");
  if (wanted("memory-cycle")) {
    worked = Compare(
        settings, absl::StrCat("streams, memory, ", body, ", 100 per frame: send, receive, delete"),
        [&] { return RunBaristaCycle(settings, "memory", 100, 2000); },
        [&] { return RunEcho(settings, 100, 20); }, "echo of the frames", 0.5, &reached);
  }
  if (wanted("fsync-sends")) {
    worked = Compare(
        settings, absl::StrCat("streams, fsync, ", body, ", 100 per frame: sends, 2000 in flight"),
        [&] { return RunBaristaSends(settings, 100, 2000); },
        [&] { return RunSkeletonSends(settings, 100, 2000); }, "skeleton", 0.8, &reached);
  }
  if (wanted("fsync-cycle")) {
    worked = Compare(
        settings,
        absl::StrCat("streams, fsync, ", body,
                     ", 10 per frame: send, receive, delete, 1000 in flight"),
        [&] { return RunBaristaCycle(settings, "fsync", 10, 1000); },
        [&] { return RunEmbeddedCycle(settings, 10, 1000); }, "embedded", 0.7, &reached);
  }
  if (wanted("tls")) {
    ScratchDir dir;
    const auto certificate = MakeCertificate(dir);
    if (!certificate.ok()) {
      std::fprintf(stderr, "%s\n", certificate.status().ToString().c_str());
      return 1;
    }
    // The first is what programs do by default, the second has little but the transport in it.
    for (const auto& [durability, batch, window] :
         {std::tuple("fsync", 10, 1000), std::tuple("memory", 100, 2000)}) {
      if (!worked) break;
      const auto run = [&, durability = durability, batch = batch,
                        window = window](const Certificate& with) {
        return RunBaristaCycle(settings, durability, batch, window, with);
      };
      worked = Compare(
          settings,
          absl::StrCat("streams over TLS, ", durability, ", ", body, ", ", batch,
                       " per frame: send, receive, delete"),
          [&] { return run(*certificate); }, [&] { return run({}); }, "plain", 0.7, &reached);
    }
  }
  if (!worked) return 1;
  return reached ? 0 : 3;
}

}  // namespace
}  // namespace barista::bench

int main(int argc, char** argv) {
  using namespace barista::bench;
  Settings settings;
  CLI::App app("Measures streams of barista serve beside their floors");
  app.add_flag("--echo", settings.echo, "Be the echo server (internal)");
  app.add_option("--skeleton", settings.skeleton_dir,
                 "Be the skeleton on this directory (internal)");
  app.add_option("--barista", settings.barista, "The barista command");
  app.add_option("--only", settings.only, "One of the promises")
      ->check(CLI::IsMember({"memory-cycle", "fsync-sends", "fsync-cycle", "tls"}));
  app.add_option("--rounds", settings.rounds, "Interleaved rounds")->check(CLI::Range(1, 1000));
  app.add_option("--seconds", settings.seconds, "Measured time of each run");
  app.add_option("--body", settings.body_bytes, "Bytes of a body")->check(CLI::Range(1, 1 << 20));
  CLI11_PARSE(app, argc, argv);
  if (settings.echo) {
    const FrameEcho echo;
    return ServeForever(echo.port());
  }
  if (!settings.skeleton_dir.empty()) {
    auto server = SkeletonServer::Start(settings.skeleton_dir);
    if (!server.ok()) {
      std::fprintf(stderr, "%s\n", server.status().ToString().c_str());
      return 1;
    }
    return ServeForever((*server)->port());
  }
  if (settings.barista.empty()) {
    std::fprintf(stderr, "give --barista PATH\n");
    return 2;
  }
  return Main(settings);
}
