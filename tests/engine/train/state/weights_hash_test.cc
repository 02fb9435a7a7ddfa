#include "engine/train/state/weights_hash.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "tests/engine/train/tiny.h"

namespace lanthorn::train {
namespace {

TEST(SeedG08, EqualSeedsGiveEqualWeightsAndOthersDoNot) {
  const Tiny one({.seed = 1}), again({.seed = 1}), other({.seed = 2});
  EXPECT_EQ(WeightsHash(one.model->Parameters()), WeightsHash(again.model->Parameters()));
  EXPECT_NE(WeightsHash(one.model->Parameters()), WeightsHash(other.model->Parameters()));
  EXPECT_EQ(WeightsHash(one.model->Parameters()).rfind("sha256:", 0), 0u);
}

TEST(SeedG08, EitherEndOfALargeParameterCounts) {
  const at::NoGradGuard no_grad;
  at::Tensor large = at::zeros({3 << 20});
  const auto hash = [&] { return WeightsHash({{.name = "large", .tensor = large}}); };
  const std::string zeros = hash();
  large[0].fill_(1);
  const std::string first = hash();
  large[large.numel() - 1].fill_(1);
  EXPECT_NE(zeros, first);
  EXPECT_NE(first, hash());
}

}  // namespace
}  // namespace lanthorn::train
