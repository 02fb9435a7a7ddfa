#include "engine/tscore/published.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <cmath>

namespace lanthorn::tscore {
namespace {

double Of(Form form, const at::Tensor& rows) {
  const at::Tensor wide = rows.to(c10::kDouble), squares = wide.square().sum(1);
  return Published(form, wide.sum(0).square().sum().item<double>(), squares.sum().item<double>(), rows.size(0),
                   squares.sqrt().sum().item<double>());
}

TEST(PublishedForms, TheSigmoidHasAFloorThatNoThresholdOfThirtyPercentReaches) {
  for (const auto& [n, floor] : {std::pair<int64_t, double>{4, .5622}, {32, .5078}, {64, .5039}})
    EXPECT_NEAR(Of(Form::kSigmoid, at::randn({1, 100}).expand({n, 100})), floor, 1e-4) << n;
  EXPECT_EQ(Of(Form::kSigmoid, at::randn({1, 9})), 0.5);
}

TEST(PublishedForms, TheShadowIsTurnedRound) {
  at::manual_seed(1);
  const at::Tensor row = at::randn({1, 1000});
  EXPECT_NEAR(Of(Form::kShadow, row.expand({32, 1000})), 1 - 1.0 / 32, 1e-3);  // identical: "diverse"
  EXPECT_NEAR(Of(Form::kShadow, at::randn({32, 1000})), .821, .01);
  EXPECT_NEAR(Of(Form::kShadow, at::cat({row.expand({16, 1000}), -row.expand({16, 1000})})), 0, 1e-6);
}

TEST(PublishedForms, ThePluginIsTheScoreButForVanishingGradients) {
  const at::Tensor rows = at::eye(8);
  EXPECT_NEAR(Of(Form::kPlugin, rows), 1 - 1.0 / 8, 1e-12);
  EXPECT_EQ(Of(Form::kPlugin, rows * 1e-7), 0.5);  // Q = 8e-14
  EXPECT_EQ(Of(Form::kPlugin, at::ones({1, 5})), 0.5);
}

TEST(PublishedForms, AnOldScoreSaysTheNewOne) {  // T_new = 1 - 1 / (N logit(T_old))
  at::manual_seed(2);
  const at::Tensor rows = at::randn({32, 20}) + 1;
  const double old = Of(Form::kSigmoid, rows);
  EXPECT_NEAR(1 - 1 / (32 * std::log(old / (1 - old))), Of(Form::kPlugin, rows), 1e-6);
  EXPECT_NEAR(1 - 1 / (32 * std::log(.50842 / (1 - .50842))), .0722, 1e-3);
}

TEST(PublishedForms, NamesThatDoNotExistAreErrors) {
  EXPECT_FALSE(FormOf("v2").ok());
  EXPECT_FALSE(FormOf("none")->has_value());
  EXPECT_EQ(*FormOf("shadow"), Form::kShadow);
}

// Over all ways to split N rows in two halves the estimates are those of the rows themselves.
TEST(MicroBatches, GiveTraceAndSignalWithoutBias) {
  at::manual_seed(3);
  const at::Tensor rows = at::randn({4, 6}, c10::kDouble) + 1;
  const at::Tensor mean = rows.mean(0);
  double small = 0;
  for (const auto& pair : {std::pair<int64_t, int64_t>{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}})
    small += ((rows[pair.first] + rows[pair.second]) / 2).square().sum().item<double>() / 6;
  const Micro micro = FromBatches(small, mean.square().sum().item<double>(), 2, 4);
  const double trace = (rows - mean).square().sum().item<double>() / 3;  // unbiased
  EXPECT_NEAR(micro.trace, trace, 1e-12);
  EXPECT_NEAR(micro.signal, mean.square().sum().item<double>() - trace / 4, 1e-12);
  ASSERT_TRUE(micro.t.has_value());
  EXPECT_NEAR(*micro.t, Of(Form::kPlugin, rows), 1e-12);
}

}  // namespace
}  // namespace lanthorn::tscore
