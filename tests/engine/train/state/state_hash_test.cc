#include "engine/train/state/state_hash.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

namespace lanthorn::train {
namespace {

uint64_t HashOf(const at::Tensor& values) { return StateHash({{"w", values}}); }

TEST(StateHash, EveryBitNameAndPlaceCounts) {
  const at::Tensor values = at::arange(67, at::kFloat);  // more than whole strides
  const uint64_t hash = HashOf(values);
  EXPECT_EQ(hash, HashOf(values.clone()));
  for (const int64_t i : {0, 1, 9, 40, 66}) {
    at::Tensor changed = values.clone();
    changed[i] += 1;
    EXPECT_NE(hash, HashOf(changed)) << i;
  }
  EXPECT_NE(hash, StateHash({{"v", values}}));
  EXPECT_NE(hash, StateHash({{"w", values}}, 1));
  EXPECT_NE(StateHash({{"a", values}, {"b", -values}}), StateHash({{"a", -values}, {"b", values}}));
}

// Signs are the top bits of words, which products of whole numbers never move.
TEST(StateHash, FlippedSignsDoNotCancel) {
  const at::Tensor doubles = at::arange(1, 65, at::kDouble), floats = at::arange(1, 65, at::kFloat);
  EXPECT_NE(HashOf(doubles), HashOf(-doubles));
  at::Tensor two = floats.clone();
  two[1].neg_();
  two[9].neg_();
  EXPECT_NE(HashOf(floats), HashOf(two));
}

}  // namespace
}  // namespace lanthorn::train
