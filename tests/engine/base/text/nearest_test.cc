#include "engine/base/text/nearest.h"

#include <gtest/gtest.h>

namespace lanthorn {
namespace {

TEST(Nearest, DistanceCountsInsertsDeletesChangesAndSwaps) {
  EXPECT_EQ(EditDistance("", "abc"), 3);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3);
  EXPECT_EQ(EditDistance("hidden", "hiddne"), 1);
  EXPECT_EQ(EditDistance("ca", "abc"), 3);  // optimal string alignment: a swapped pair is not edited again
  EXPECT_EQ(EditDistance("same", "same"), 0);
}

TEST(Nearest, DistanceIsTheSameInBothDirectionsAndZeroForEqualWords) {
  const std::vector<std::string> words = {"", "a", "ab", "ba", "hidden", "hiden", "layers", "player"};
  for (const auto& a : words) {
    for (const auto& b : words) {
      EXPECT_EQ(EditDistance(a, b), EditDistance(b, a));
      EXPECT_EQ(EditDistance(a, b) == 0, a == b);
    }
  }
}

TEST(Nearest, OffersNearNamesOnlyNearestFirst) {
  const std::vector<std::string> names = {"randn", "rand", "randint", "ones", "zeros"};
  EXPECT_EQ(Nearest("rnadn", names), (std::vector<std::string>{"randn"}));
  EXPECT_EQ(Nearest("randm", names), (std::vector<std::string>{"rand", "randn"}));
  EXPECT_TRUE(Nearest("softmax", names).empty());
  EXPECT_EQ(Nearest("x", {"y", "abc"}), (std::vector<std::string>{"y"}));  // at least one edit is allowed
}

TEST(Nearest, LimitsTheNumberAndDropsDoubles) {
  const std::vector<std::string> names = {"aaab", "aaac", "aaad", "aaae", "aaab"};
  EXPECT_EQ(Nearest("aaaa", names), (std::vector<std::string>{"aaab", "aaac", "aaad"}));
  EXPECT_EQ(Nearest("aaaa", names, 1), (std::vector<std::string>{"aaab"}));
  EXPECT_TRUE(Nearest("aaaa", {}).empty());
}

TEST(Nearest, TheHintIsAnEndOfASentenceOrNothing) {
  EXPECT_EQ(DidYouMean("randm", {"randn", "rand", "ones"}), "; did you mean 'rand' or 'randn'?");
  EXPECT_EQ(DidYouMean("hiden", {"hidden"}), "; did you mean 'hidden'?");
  EXPECT_EQ(DidYouMean("zebra", {"hidden"}), "");
}

}  // namespace
}  // namespace lanthorn
