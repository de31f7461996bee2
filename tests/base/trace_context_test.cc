#include "barista/trace_context.h"

#include <gtest/gtest.h>

#include <string>

namespace barista {
namespace {

constexpr char kTrace[] = "4bf92f3577b34da6a3ce929d0e0e4736";
constexpr char kSpan[] = "00f067aa0ba902b7";

std::string Traceparent(const std::string& version, const std::string& trace,
                        const std::string& span, const std::string& rest) {
  return version + "-" + trace + "-" + span + "-" + rest;
}

TEST(TraceContextTest, TraceparentOfTheSpecification) {
  EXPECT_TRUE(IsTraceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
  EXPECT_TRUE(IsTraceparent(Traceparent("00", kTrace, kSpan, "00")));
}

TEST(TraceContextTest, LaterVersionMayBeLonger) {
  EXPECT_TRUE(IsTraceparent(Traceparent("cc", kTrace, kSpan, "01")));
  EXPECT_TRUE(IsTraceparent(Traceparent("cc", kTrace, kSpan, "01-what-the-future-will-be-like")));
  EXPECT_FALSE(IsTraceparent(Traceparent("cc", kTrace, kSpan, "01.what")));
  EXPECT_FALSE(IsTraceparent(Traceparent("00", kTrace, kSpan, "01-what")));
}

TEST(TraceContextTest, MalformedTraceparentIsNone) {
  const std::string trace = kTrace;
  const std::string span = kSpan;
  for (const std::string& text : {
           std::string(),
           Traceparent("00", trace, span, "0"),
           Traceparent("ff", trace, span, "01"),
           Traceparent("0G", trace, span, "01"),
           Traceparent("00", std::string(32, '0'), span, "01"),
           Traceparent("00", trace, std::string(16, '0'), "01"),
           Traceparent("00", "4BF92F3577B34DA6A3CE929D0E0E4736", span, "01"),
           Traceparent("00", trace, "00F067AA0BA902B7", "01"),
           Traceparent("00", trace, span, "0x"),
           "00_" + trace + "-" + span + "-01",
           "00-" + trace + "_" + span + "-01",
           "00-" + trace + "-" + span + "_01",
       }) {
    EXPECT_FALSE(IsTraceparent(text)) << text;
  }
}

TEST(TraceContextTest, TracestateIsPrintableAndLimited) {
  EXPECT_TRUE(IsTracestate("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"));
  EXPECT_TRUE(IsTracestate(std::string(kMaxTracestateBytes, 'x')));
  EXPECT_FALSE(IsTracestate(std::string(kMaxTracestateBytes + 1, 'x')));
  EXPECT_FALSE(IsTracestate(""));
  EXPECT_FALSE(IsTracestate("a=b\n"));
  EXPECT_FALSE(IsTracestate("a=\xC3\xBC"));
}

}  // namespace
}  // namespace barista
