// What systemd hears, and that a watchdog is not fed when a part of the server is stuck.
#include "broker/server/service_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "broker/server/heartbeat.h"
#include "broker/server/watchdog.h"
#include "tests/server/log_capture.h"
#include "tests/server/server_fixture.h"

namespace barista::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;

// A socket that hears what is sent to it. `name`: a path, or @NAME.
class NotifySocket {
 public:
  explicit NotifySocket(const std::string& name)
      : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    name.copy(address.sun_path, sizeof(address.sun_path) - 1);
    if (name[0] == '@') address.sun_path[0] = '\0';
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), length), 0);
  }
  ~NotifySocket() { ::close(fd_); }
  NotifySocket(const NotifySocket&) = delete;
  NotifySocket& operator=(const NotifySocket&) = delete;

  // Everything that has come.
  std::vector<std::string> Take() const {
    std::vector<std::string> all;
    char buffer[4096];
    while (true) {
      const ssize_t size = ::recv(fd_, buffer, sizeof(buffer), 0);
      if (size < 0) return all;
      all.emplace_back(buffer, static_cast<size_t>(size));
    }
  }

 private:
  const int fd_;
};

class ServiceManagerTest : public ::testing::Test {
 protected:
  ServiceManagerTest() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "barista-notify-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
    path_ = directory_ + "/notify";
  }
  ~ServiceManagerTest() override { std::filesystem::remove_all(directory_); }

  static Environment Variables(const std::map<std::string, std::string>& variables) {
    return [variables](const std::string& name) -> std::optional<std::string> {
      const auto found = variables.find(name);
      if (found == variables.end()) return std::nullopt;
      return found->second;
    };
  }

  std::string directory_, path_;
};

TEST_F(ServiceManagerTest, HearsTheLifeOfTheProcess) {
  const NotifySocket socket(path_);
  const ServiceManager manager(Variables({{"NOTIFY_SOCKET", path_}}));
  EXPECT_TRUE(manager.is_there());
  EXPECT_EQ(manager.watchdog_interval(), absl::ZeroDuration());
  manager.Status("opening");
  manager.Ready("one\nline");
  manager.Reloading();
  manager.Watchdog();
  manager.Stopping(absl::Seconds(70));
  EXPECT_THAT(
      socket.Take(),
      ElementsAre("STATUS=opening", "READY=1\nSTATUS=one line",
                  MatchesRegex("RELOADING=1\nMONOTONIC_USEC=[0-9]+\nSTATUS=reloading"),
                  "WATCHDOG=1", "STOPPING=1\nEXTEND_TIMEOUT_USEC=70000000\nSTATUS=draining"));
}

TEST_F(ServiceManagerTest, ListensInTheAbstractNameSpaceToo) {
  const std::string name = absl::StrCat("@barista-test-", ::getpid());
  const NotifySocket socket(name);
  ServiceManager(Variables({{"NOTIFY_SOCKET", name}})).Watchdog();
  EXPECT_THAT(socket.Take(), ElementsAre("WATCHDOG=1"));
}

TEST_F(ServiceManagerTest, WithoutASocketNothingIsSent) {
  const LogCapture log;
  const ServiceManager manager(Variables({{"WATCHDOG_USEC", "1000000"}}));
  EXPECT_FALSE(manager.is_there());
  EXPECT_EQ(manager.watchdog_interval(), absl::ZeroDuration());
  manager.Ready("nobody hears");
  EXPECT_EQ(log.text(), "");
}

TEST_F(ServiceManagerTest, WhatIsMalformedCountsAsNotSet) {
  for (const std::string& socket : {std::string("notify"), std::string("/"), std::string("vsock:2"),
                                    "/" + std::string(107, 'x')}) {
    const LogCapture log;
    EXPECT_FALSE(ServiceManager(Variables({{"NOTIFY_SOCKET", socket}})).is_there()) << socket;
    EXPECT_THAT(log.text(), HasSubstr("NOTIFY_SOCKET"));
  }
  EXPECT_TRUE(
      ServiceManager(Variables({{"NOTIFY_SOCKET", "/" + std::string(106, 'x')}})).is_there());
  for (const char* micros : {"soon", "0", "-1", ""}) {
    const LogCapture log;
    const ServiceManager manager(Variables({{"NOTIFY_SOCKET", path_}, {"WATCHDOG_USEC", micros}}));
    EXPECT_EQ(manager.watchdog_interval(), absl::ZeroDuration());
    EXPECT_THAT(log.text(), HasSubstr("WATCHDOG_USEC"));
  }
}

TEST_F(ServiceManagerTest, AWatchdogIsOfOneProcess) {
  const auto interval = [this](const std::string& pid) {
    return ServiceManager(Variables({{"NOTIFY_SOCKET", path_},
                                     {"WATCHDOG_USEC", "30000000"},
                                     {"WATCHDOG_PID", pid}}))
        .watchdog_interval();
  };
  EXPECT_EQ(interval(absl::StrCat(::getpid())), absl::Seconds(30));
  EXPECT_EQ(interval("1"), absl::ZeroDuration());
}

TEST_F(ServiceManagerTest, ASocketThatIsGoneIsLogged) {
  const LogCapture log;
  ServiceManager(Variables({{"NOTIFY_SOCKET", path_}})).Watchdog();
  EXPECT_THAT(log.text(), HasSubstr(path_));
}

TEST_F(ServiceManagerTest, TheWatchdogIsFedOnlyWhileEveryPartAnswers) {
  const NotifySocket socket(path_);
  const ServiceManager manager(Variables({{"NOTIFY_SOCKET", path_}, {"WATCHDOG_USEC", "2000"}}));
  const LogCapture log;
  std::atomic<int> beats = 0;
  std::atomic<bool> stuck = false;
  const auto wait_for_beats = [&](int more) {
    const int until = beats.load() + more;
    ASSERT_TRUE(Eventually([&] { return beats.load() >= until; }));
  };
  Watchdog watchdog(&manager, [&] {
    ++beats;
    return stuck ? std::vector<std::string>{"committer"} : std::vector<std::string>();
  });
  wait_for_beats(2);
  stuck = true;
  wait_for_beats(2);  // the first of them may have been asked before
  socket.Take();
  wait_for_beats(3);
  EXPECT_THAT(socket.Take(), IsEmpty());
  EXPECT_THAT(log.text(), HasSubstr("from: committer"));
  stuck = false;
  wait_for_beats(2);
  EXPECT_THAT(socket.Take(), ::testing::Contains("WATCHDOG=1"));
  // At the end nobody is asked, and the signals go on.
  stuck = true;
  watchdog.StopAsking();
  socket.Take();
  const int last = beats.load();
  EXPECT_TRUE(Eventually([&] { return !socket.Take().empty(); }));
  EXPECT_EQ(beats.load(), last);
}

TEST(HeartbeatTest, APartIsSilentUntilItAnswers) {
  Heartbeat heartbeat;
  std::function<void()> answer;
  int asked = 0;
  heartbeat.Add("slow", [&](std::function<void()> answered) {
    answer = std::move(answered);
    ++asked;
    return true;
  });
  heartbeat.Add("quick", [](const std::function<void()>& answered) {
    answered();
    return true;
  });
  EXPECT_THAT(heartbeat.Beat(), IsEmpty());
  EXPECT_THAT(heartbeat.Beat(), ElementsAre("slow"));
  EXPECT_THAT(heartbeat.Beat(), ElementsAre("slow"));
  EXPECT_EQ(asked, 1);
  answer();
  EXPECT_THAT(heartbeat.Beat(), IsEmpty());
  EXPECT_EQ(asked, 2);
  EXPECT_THAT(heartbeat.Beat(), ElementsAre("slow"));
}

TEST(HeartbeatTest, APartThatCannotBeAskedIsSilentAndAskedAgain) {
  Heartbeat heartbeat;
  bool full = true;
  heartbeat.Add("executor", [&](const std::function<void()>& answered) {
    if (full) return false;
    answered();
    return true;
  });
  EXPECT_THAT(heartbeat.Beat(), ElementsAre("executor"));
  full = false;
  EXPECT_THAT(heartbeat.Beat(), IsEmpty());
}

TEST(HeartbeatTest, AnAnswerMayComeWhenNobodyWaits) {
  std::function<void()> answer;
  {
    Heartbeat heartbeat;
    heartbeat.Add("late", [&](std::function<void()> answered) {
      answer = std::move(answered);
      return true;
    });
    heartbeat.Beat();
  }
  answer();
}

}  // namespace
}  // namespace barista::server
