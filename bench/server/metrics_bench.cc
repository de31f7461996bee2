// What metrics cost a broker with many queues.
//
//   metrics_bench [--queues 100000] [--rounds 5] [--seconds 3] [--durability os]
//
// A server in this process has many queues on disk, a thousand of them with messages. First the
// time of GET /metrics over the loopback. Then one thread sends, receives and deletes, in rounds of
// which one half is scraped every second and the other is not: the p99 of a send in both.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "bench/common/scratch_dir.h"
#include "bench/common/summary.h"
#include "broker/server/server.h"
#include "client/load/histogram.h"

namespace barista::bench {
namespace {

using load::Histogram;

constexpr int kScrapes = 11;
constexpr int kDeepQueues = 1000;

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "metrics_bench: %s\n", status.ToString().c_str());
  return 1;
}

absl::Status Fill(const std::string& dir, int queues) {
  auto broker = Broker::Open({.data_dir = dir});
  if (!broker.ok()) return broker.status();
  // Many at a time, so that they share their syncs.
  std::atomic<int> next{0};
  std::atomic<bool> failed{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 64; ++t) {
    threads.emplace_back([&] {
      for (int i; (i = next++) < queues;) {
        auto queue = (*broker)->CreateQueue(absl::StrCat("queue-", i));
        if (!queue.ok()) {
          failed = true;
        } else if (i % std::max(queues / kDeepQueues, 1) == 0) {
          failed = failed || !queue->Send({.body = "waits"}).ok();
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return failed ? absl::InternalError("a queue could not be filled") : (*broker)->Close();
}

// The reply to GET /metrics from 127.0.0.1:PORT; "" if there was none.
std::string Scrape(const std::string& address) {
  int port = 0;
  if (!absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port)) return "";
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const std::string request = "GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";
  std::string reply;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0 &&
      ::send(fd, request.data(), request.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(request.size())) {
    std::vector<char> buffer(1 << 16);
    for (ssize_t got; (got = ::recv(fd, buffer.data(), buffer.size(), 0)) > 0;) {
      reply.append(buffer.data(), static_cast<size_t>(got));
    }
  }
  ::close(fd);
  return reply;
}

// Sends, receives and deletes one message after the other; the latencies of the sends, in ns.
absl::Status Cycle(Queue& queue, absl::Duration time, Histogram* sends) {
  const std::string body(1024, 'x');
  for (const absl::Time end = absl::Now() + time; absl::Now() < end;) {
    const int64_t begin_ns = absl::GetCurrentTimeNanos();
    const auto sent = queue.Send({.body = body});
    sends->Record(static_cast<uint64_t>(absl::GetCurrentTimeNanos() - begin_ns));
    if (!sent.ok()) return sent.status();
    const auto received = queue.Receive();
    if (!received.ok()) return received.status();
    for (const ReceivedMessage& message : *received) {
      if (absl::Status deleted = queue.Delete(message.receipt_handle); !deleted.ok())
        return deleted;
    }
  }
  return absl::OkStatus();
}

absl::Status CycleScraped(Queue& queue, absl::Duration time, const std::string& address,
                          Histogram* sends) {
  absl::Notification done;
  std::thread scraper([&] {
    do {
      Scrape(address);
    } while (!done.WaitForNotificationWithTimeout(absl::Seconds(1)));
  });
  const absl::Status status = Cycle(queue, time, sends);
  done.Notify();
  scraper.join();
  return status;
}

int Main(int queues, int rounds, absl::Duration time, const std::string& durability) {
  const auto attributes = ParseQueueAttributes({{"Durability", durability}});
  if (!attributes.ok()) return Fail(attributes.status());
  ScratchDir dir;
  if (absl::Status status = Fill(dir / "data", queues); !status.ok()) return Fail(status);
  server::ServerOptions options;
  options.broker.data_dir = dir / "data";
  options.http_listen = options.admin_listen = options.grpc_listen = "127.0.0.1:0";
  auto server = server::Server::Start(options);
  if (!server.ok()) return Fail(server.status());
  const std::string address = (*server)->admin_address();

  Promise scrape;
  scrape.what = absl::StrCat(queues, " queues: GET /metrics");
  for (int i = 0; i < kScrapes; ++i) {
    const absl::Time begin = absl::Now();
    const std::string reply = Scrape(address);
    scrape.ratios.Add(absl::ToDoubleMilliseconds(absl::Now() - begin));
    if (!absl::StrContains(reply, absl::StrCat("\nbarista_queues ", queues, "\n"))) {
      return Fail(absl::InternalError("the reply to /metrics does not count the queues"));
    }
  }
  scrape.measured = scrape.ratios.ToString();
  scrape.floor = "-";
  scrape.reach = 100;
  scrape.at_most = true;
  scrape.unit = "ms";
  bool reached = PrintRow(scrape);

  auto queue = (*server)->broker().CreateQueue("hot", *attributes);
  if (!queue.ok()) return Fail(queue.status());
  Promise send;
  send.what = absl::StrCat(queues, " queues, a scrape per second: p99 of a send of 1 KiB, ",
                           durability, ", 1 thread");
  Sample scraped_us, alone_us;
  for (int round = 0; round < rounds; ++round) {
    Histogram alone, scraped;
    for (const bool with : {round % 2 == 0, round % 2 != 0}) {
      const absl::Status status =
          with ? CycleScraped(*queue, time, address, &scraped) : Cycle(*queue, time, &alone);
      if (!status.ok()) return Fail(status);
    }
    scraped_us.Add(static_cast<double>(scraped.Percentile(99)) / 1e3);
    alone_us.Add(static_cast<double>(alone.Percentile(99)) / 1e3);
    send.ratios.Add(static_cast<double>(scraped.Percentile(99)) /
                    static_cast<double>(alone.Percentile(99)));
  }
  send.measured = absl::StrCat(scraped_us.ToString(), " us");
  send.floor = absl::StrCat(alone_us.ToString(), " us");
  send.reach = 1.1;
  send.at_most = true;
  reached &= PrintRow(send);
  return reached ? 0 : 3;
}

}  // namespace
}  // namespace barista::bench

int main(int argc, char** argv) {
  int queues = 100'000;
  int rounds = 5;
  double seconds = 3;
  std::string durability = "os";
  CLI::App app("Measures what metrics cost");
  app.add_option("--queues", queues, "Queues")->check(CLI::Range(1, 10'000'000));
  app.add_option("--rounds", rounds, "Rounds")->check(CLI::Range(1, 1000));
  app.add_option("--seconds", seconds, "Seconds of half a round")->check(CLI::PositiveNumber);
  app.add_option("--durability", durability, "memory, os or fsync");
  CLI11_PARSE(app, argc, argv);
  return barista::bench::Main(queues, rounds, absl::Seconds(seconds), durability);
}
