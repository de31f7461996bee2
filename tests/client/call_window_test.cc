#include "client/call_window.h"

#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace barista::client {
namespace {

struct FakeCall {
  int number = 0;
};
using Window = CallWindow<FakeCall>;

// Starts calls and keeps them until End().
struct FakeTransport {
  std::vector<std::pair<std::unique_ptr<FakeCall>, Window::Done>> running;

  Window::Starter Starter() {
    return [this](std::unique_ptr<FakeCall> call, Window::Done done) {
      running.emplace_back(std::move(call), std::move(done));
    };
  }
  void End(size_t i) { running[i].second(std::move(running[i].first)); }
};

std::unique_ptr<FakeCall> Number(int number) {
  return std::make_unique<FakeCall>(FakeCall{number});
}

TEST(CallWindowTest, GivesCallsBackAsTheyEnd) {
  FakeTransport transport;
  Window window(transport.Starter());
  window.Start(Number(1));
  window.Start(Number(2));
  EXPECT_EQ(window.in_flight(), 2);
  EXPECT_EQ(window.TryNext(), nullptr);
  transport.End(1);
  EXPECT_EQ(window.TryNext()->number, 2);
  EXPECT_EQ(window.in_flight(), 1);
  transport.End(0);
  EXPECT_EQ(window.Next()->number, 1);
  EXPECT_EQ(window.in_flight(), 0);
}

TEST(CallWindowTest, NextWaitsForAnotherThread) {
  std::thread ender;
  {
    Window window([&ender](std::unique_ptr<FakeCall> call, Window::Done done) {
      ender = std::thread(
          [call = std::move(call), done = std::move(done)]() mutable { done(std::move(call)); });
    });
    window.Start(Number(7));
    EXPECT_EQ(window.Next()->number, 7);
  }
  ender.join();
}

TEST(CallWindowTest, DestructorWaitsForCallsInFlight) {
  std::thread ender;
  bool ended = false;
  {
    Window window([&](std::unique_ptr<FakeCall> call, Window::Done done) {
      ender = std::thread([&ended, call = std::move(call), done = std::move(done)]() mutable {
        ended = true;
        done(std::move(call));
      });
    });
    window.Start(Number(1));
  }
  EXPECT_TRUE(ended);
  ender.join();
}

}  // namespace
}  // namespace barista::client
