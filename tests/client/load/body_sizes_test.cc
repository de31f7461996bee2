#include "client/load/body_sizes.h"

#include <gtest/gtest.h>

#include <map>

namespace barista::load {
namespace {

TEST(BodySizesTest, OneSize) {
  const BodySizes sizes = 1024;
  EXPECT_EQ(sizes.Of(0), 1024u);
  EXPECT_EQ(sizes.Of(77), 1024u);
  EXPECT_EQ(sizes.ToString(), "1024");
}

TEST(BodySizesTest, SizesInTurn) {
  const BodySizes sizes = *BodySizes::InTurn({1024, 100, 65536});
  EXPECT_EQ(sizes.Of(0), 1024u);
  EXPECT_EQ(sizes.Of(1), 100u);
  EXPECT_EQ(sizes.Of(2), 65536u);
  EXPECT_EQ(sizes.Of(3), 1024u);
  EXPECT_EQ(sizes.least(), 100u);
  EXPECT_EQ(sizes.most(), 65536u);
  EXPECT_EQ(sizes.ToString(), "1024,100,65536");
}

TEST(BodySizesTest, ARangeHasEachSizeAsOften) {
  const BodySizes sizes = *BodySizes::Between(100, 109);
  std::map<size_t, int> counts;
  for (uint64_t number = 0; number < 10000; ++number) ++counts[sizes.Of(number)];
  ASSERT_EQ(counts.size(), 10u);
  EXPECT_EQ(counts.begin()->first, 100u);
  EXPECT_EQ(counts.rbegin()->first, 109u);
  for (const auto& [size, count] : counts) EXPECT_NEAR(count, 1000, 50) << size;
  EXPECT_EQ(sizes.ToString(), "100-109");
}

TEST(BodySizesTest, LimitsAndOnePastThem) {
  EXPECT_TRUE(BodySizes::InTurn({BodySizes::kLeast, BodySizes::kMost}).ok());
  EXPECT_TRUE(BodySizes::Between(BodySizes::kLeast, BodySizes::kMost).ok());
  EXPECT_TRUE(BodySizes::Between(100, 100).ok());
  EXPECT_EQ(BodySizes::InTurn({1024, 47}).status().message(),
            "a body of 47 bytes is not in [48, 1048576]");
  EXPECT_EQ(BodySizes::Between(48, 1048577).status().message(),
            "a body of 1048577 bytes is not in [48, 1048576]");
  EXPECT_EQ(BodySizes::Between(101, 100).status().message(),
            "bodies from 101 to 100 bytes: the smaller size comes first");
  EXPECT_TRUE(BodySizes::InTurn(std::vector<size_t>(BodySizes::kMaxSizes, 64)).ok());
  EXPECT_EQ(BodySizes::InTurn(std::vector<size_t>(BodySizes::kMaxSizes + 1, 64)).status().message(),
            "65 sizes of bodies; 1 to 64 are allowed");
  EXPECT_FALSE(BodySizes::InTurn({}).ok());
}

}  // namespace
}  // namespace barista::load
