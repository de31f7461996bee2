// A message that kills its consumer's process: after maxReceiveCount restarts it is in the
// dead-letter queue.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "barista/broker.h"
#include "tests/conformance/broker_kinds.h"

namespace barista::testing {
namespace {

constexpr int kMaxReceiveCount = 3;

// The consumer: handles what there is, and dies of the poison. Exit code 0: it came through.
[[noreturn]] void Consume(const std::string& dir) {
  auto broker = Broker::Open({.data_dir = dir});
  if (!broker.ok()) _exit(10);
  auto queue = (*broker)->GetQueue("orders");
  if (!queue.ok()) _exit(11);
  for (;;) {
    auto batch = queue->Receive({.max_messages = 1, .visibility_timeout = absl::ZeroDuration()});
    if (!batch.ok()) _exit(12);
    if (batch->empty()) _exit((*broker)->Close().ok() ? 0 : 13);
    if (batch->front().body == "poison") abort();
    if (!queue->Delete(batch->front().receipt_handle).ok()) _exit(14);
  }
}

TEST(PoisonTest, MessageThatAbortsItsProcessReachesTheDeadLetterQueue) {
  TemporaryDirectory directory;
  const std::string dir = directory.path() + "/data";
  {
    auto broker = Broker::Open({.data_dir = dir});
    ASSERT_OK(broker);
    ASSERT_OK((*broker)->CreateQueue("dead"));
    auto queue = (*broker)->CreateQueue(
        "orders", {.redrive_policy = RedrivePolicy{"dead", kMaxReceiveCount}});
    ASSERT_OK(queue);
    for (const char* body : {"good 1", "poison", "good 2"}) ASSERT_OK(queue->Send({.body = body}));
    ASSERT_OK((*broker)->Close());
  }
  int deaths = 0;
  for (;;) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) Consume(dir);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) {
      ASSERT_EQ(WEXITSTATUS(status), 0);
      break;
    }
    ASSERT_EQ(WTERMSIG(status), SIGABRT);
    ASSERT_LE(++deaths, kMaxReceiveCount);
  }
  EXPECT_EQ(deaths, kMaxReceiveCount);
  auto broker = Broker::Open({.data_dir = dir});
  ASSERT_OK(broker);
  auto dead = (*broker)->GetQueue("dead")->Receive({.max_messages = 10});
  ASSERT_OK(dead);
  ASSERT_EQ(dead->size(), 1u);
  EXPECT_EQ(dead->front().body, "poison");
  EXPECT_EQ(dead->front().receive_count, kMaxReceiveCount + 1);
  EXPECT_EQ(dead->front().dead_letter_source(), "orders");
  EXPECT_EQ((*broker)->GetQueue("orders")->Describe()->visible, 0);
}

}  // namespace
}  // namespace barista::testing
