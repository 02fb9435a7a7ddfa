#include "engine/device/op_cost.h"

#include <gtest/gtest.h>

#include <set>

namespace lanthorn::device {
namespace {

TEST(OpCostTest, EveryOperatorHasANameOfItsOwnAndAPositiveTime) {
  const std::vector<OpCost> costs = NativeOpCosts(/*calls=*/5);
  std::set<std::string> names;
  for (const OpCost& cost : costs) {
    EXPECT_TRUE(names.insert(cost.name).second) << cost.name;
    EXPECT_GT(cost.seconds, 0) << cost.name;
    EXPECT_LT(cost.seconds, 1) << cost.name;
  }
  EXPECT_TRUE(names.count("add"));
  EXPECT_EQ(NativeOpCosts(0).size(), costs.size());  // at least one call is made
}

}  // namespace
}  // namespace lanthorn::device
