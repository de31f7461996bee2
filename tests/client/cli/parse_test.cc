#include "client/cli/parse.h"

#include "gtest/gtest.h"

namespace barista::cli {
namespace {

TEST(ParseTest, Durations) {
  EXPECT_EQ(*ParseDuration("0"), absl::ZeroDuration());
  EXPECT_EQ(*ParseDuration("30"), absl::Seconds(30));
  EXPECT_EQ(*ParseDuration("30s"), absl::Seconds(30));
  EXPECT_EQ(*ParseDuration("250ms"), absl::Milliseconds(250));
  EXPECT_EQ(*ParseDuration("15m"), absl::Minutes(15));
  EXPECT_EQ(*ParseDuration("15min"), absl::Minutes(15));
  EXPECT_EQ(*ParseDuration("12h"), absl::Hours(12));
  EXPECT_EQ(*ParseDuration("1h30m"), absl::Minutes(90));
  EXPECT_EQ(*ParseDuration("4d"), absl::Hours(96));
}

TEST(ParseTest, DurationsThatAreNone) {
  for (const char* text :
       {"", "s", "soon", "-1s", "-1", "inf", "1.5d", "d", "1 s", "5x", "99999999999999999999"}) {
    EXPECT_FALSE(ParseDuration(text).ok()) << text;
  }
}

TEST(ParseTest, Sizes) {
  EXPECT_EQ(*ParseSize("0"), 0);
  EXPECT_EQ(*ParseSize("65536"), 65536);
  EXPECT_EQ(*ParseSize("10B"), 10);
  EXPECT_EQ(*ParseSize("64KiB"), 65536);
  EXPECT_EQ(*ParseSize("1MiB"), 1048576);
  EXPECT_EQ(*ParseSize("2GiB"), int64_t{2} << 30);
  for (const char* text : {"", "KiB", "-1", "1.5MiB", "1kb", "9223372036854775807GiB"}) {
    EXPECT_FALSE(ParseSize(text).ok()) << text;
  }
}

TEST(ParseTest, KeyValueSplitsAtTheFirstEquals) {
  EXPECT_EQ(*ParseKeyValue("a=b=c"), std::make_pair(std::string("a"), std::string("b=c")));
  EXPECT_EQ(*ParseKeyValue("a="), std::make_pair(std::string("a"), std::string()));
  EXPECT_FALSE(ParseKeyValue("=b").ok());
  EXPECT_FALSE(ParseKeyValue("ab").ok());
}

TEST(ParseTest, MessageAttributes) {
  EXPECT_EQ(ParseMessageAttribute("table=7")->second, MessageAttribute("String", "7"));
  EXPECT_EQ(ParseMessageAttribute("shots:Number.int=2")->second,
            MessageAttribute("Number.int", "2"));
  EXPECT_EQ(ParseMessageAttribute("shots:Number.int=2")->first, "shots");
  EXPECT_EQ(ParseMessageAttribute("seal:Binary=AP8=")->second,
            MessageAttribute("Binary", std::string("\0\xff", 2)));
  EXPECT_FALSE(ParseMessageAttribute("seal:Binary=*").ok());
  EXPECT_FALSE(ParseMessageAttribute("table").ok());
}

TEST(ParseTest, WholeSecondsHaveNoFraction) {
  EXPECT_EQ(*WholeSeconds(absl::Minutes(2)), "120");
  EXPECT_FALSE(WholeSeconds(absl::Milliseconds(1500)).ok());
}

}  // namespace
}  // namespace barista::cli
