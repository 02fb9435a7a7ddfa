// The golden facts about T that need no training.
#include "engine/tscore/score.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "engine/tscore/published.h"

namespace lanthorn::tscore {
namespace {

// Rows are the samples' gradients.
std::pair<double, double> Sums(const at::Tensor& rows) {
  const at::Tensor wide = rows.to(c10::kDouble);
  return {wide.sum(0).square().sum().item<double>(), wide.square().sum().item<double>()};
}
Score Of(const at::Tensor& rows) {
  const auto [s, q] = Sums(rows);
  return Compute(s, q, rows.size(0));
}
double V11(const at::Tensor& rows) {
  const auto [s, q] = Sums(rows);
  return Published(Form::kV11, s, q, rows.size(0));
}
at::Tensor Rows(std::vector<double> values, int64_t width) {
  return at::tensor(values, c10::kDouble).view({-1, width});
}
at::Tensor Gaussian(int64_t n, int64_t width, uint64_t seed = 1) {
  at::manual_seed(seed);
  return at::randn({n, width}, c10::kDouble);
}

TEST(Score, IdenticalRowsGiveZero) {
  for (int64_t n : {2, 3, 32}) EXPECT_NEAR(*Of(Gaussian(1, 1000).expand({n, 1000})).t, 0, 1e-6);
}

TEST(Score, OppositePairsGiveOne) {
  const at::Tensor half = Gaussian(16, 1000);
  EXPECT_NEAR(*Of(at::cat({half, -half})).t, 1, 1e-12);
}

TEST(Score, OrthogonalRowsOfEqualLengthGiveOneMinusOneOverN) {
  for (int64_t n : {2, 5, 32}) {
    const Score score = Of(3 * at::eye(n, c10::kDouble));
    EXPECT_NEAR(*score.t, 1 - 1.0 / static_cast<double>(n), 1e-12);
    EXPECT_NEAR(*score.t_corrected, 1, 1e-12);
  }
}

TEST(Score, SmallExamplesAreExact) {
  EXPECT_NEAR(*Of(Rows({1, 0, 1, 1}, 2)).t, 1.0 / 6, 1e-12);
  EXPECT_NEAR(*Of(Rows({1, 0, 0, 1, 1, 1}, 2)).t, 1.0 / 3, 1e-12);
  EXPECT_NEAR(*Of(Rows({3, 0, 0, 4}, 2)).t, 1.0 / 2, 1e-12);
}

TEST(Score, ManyGaussianRowsLieNearTheOrthogonalValue) { EXPECT_NEAR(*Of(Gaussian(32, 1000)).t, 0.969, 0.005); }

TEST(Score, ACommonFactorCancels) {
  const at::Tensor rows = Gaussian(6, 40);
  const double t = *Of(rows).t;
  for (double c = 1e-6; c < 2e12; c *= 10) EXPECT_NEAR(*Of(rows * c).t, t, 1e-12) << c;
}

TEST(Score, QTimesTOverNMinusOneIsTheTraceOfTheCovariance) {
  const at::Tensor rows = Gaussian(9, 30) + 0.7;
  const Score score = Of(rows);
  const double trace = rows.var(0, /*unbiased=*/true).sum().item<double>();
  EXPECT_NEAR(score.q * *score.t / 8, trace, 1e-9 * trace);
  const double by_means = 1 - rows.mean(0).square().sum().item<double>() / rows.square().sum(1).mean().item<double>();
  EXPECT_NEAR(*score.t, by_means, 1e-12);
}

TEST(Score, ZeroGradientsHaveNoValueG46) {
  const Score bare = Of(at::zeros({4, 10}));
  EXPECT_FALSE(bare.t || bare.t_corrected);
  EXPECT_EQ(bare.status, "vanishing");
  EXPECT_EQ(Compute(0, 0, 4, /*theta_norm=*/0.0).status, "vanishing");
  EXPECT_EQ(V11(at::zeros({4, 10})), 1.0);
}

TEST(Score, GradientsVanishRelativeToTheParameters) {
  // Q of four rows, each 1e-8 of the parameters' norm long: at the bound; just above it there is a value.
  const double theta = 250, bound = 4 * std::pow(1e-8 * theta, 2);
  EXPECT_EQ(Compute(bound, bound, 4, theta).status, "vanishing");
  EXPECT_EQ(Compute(bound, bound * 1.001, 4, theta).status, "ok");
  EXPECT_EQ(Compute(1e-21, 0.99e-20, 4).status, "vanishing");
  EXPECT_EQ(Compute(1e-21, 1.01e-20, 4).status, "ok");
}

TEST(Score, OneOrNoSampleHasNoValueG46) {
  for (int64_t n : {0, 1}) {
    const Score score = Compute(1, 1, n, 1.0);
    EXPECT_FALSE(score.t || score.t_corrected);
    EXPECT_EQ(score.status, "too_few");
    EXPECT_EQ(Published(Form::kV11, 1, 1, n), 0.5);
  }
}

TEST(Score, NonfiniteSumsHaveNoValue) {
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  for (const auto& [s, q] :
       std::vector<std::pair<double, double>>{{nan, 1}, {1, nan}, {infinity, 1}, {1, infinity}, {nan, nan}}) {
    const Score score = Compute(s, q, 4, 1.0);
    EXPECT_FALSE(score.t || score.t_corrected);
    EXPECT_EQ(score.status, "nonfinite");
  }
}

TEST(Score, TheReportedValueIsLimitedAndTheRawOneKept) {
  const Score below = Compute(4.0000001, 1, 4);  // rounding can bring S above N Q
  EXPECT_EQ(*below.t, 0);
  EXPECT_LT(below.raw, 0);
  EXPECT_EQ(*below.t_corrected, 0);
  EXPECT_NEAR(*Compute(0, 1, 4).t_corrected, 4.0 / 3, 1e-12);  // may exceed 1
}

TEST(Score, ThePublishedFormMistakesSmallGradientsForDisagreement) {
  const auto rows = [](double c) { return at::full({4, 10}, c, c10::kDouble); };
  EXPECT_NEAR(V11(rows(1e-2)), 2.5e-6, 0.05e-6);
  EXPECT_NEAR(V11(rows(1e-4)), 0.0244, 0.00005);
  EXPECT_NEAR(V11(rows(1e-6)), 0.9960, 0.00005);
  for (double c : {1e-2, 1e-4, 1e-6}) EXPECT_NEAR(*Of(rows(c)).t, 0, 1e-6);
}

TEST(Statistics, AgreesWithANaiveComputationAndCountsWhatItSkips) {
  std::mt19937_64 engine(5);
  std::normal_distribution<double> normal(1e3, 1e-3);  // large mean, small spread: the naive sum of squares would fail
  Statistics statistics;
  std::vector<double> values;
  for (int i = 0; i < 500; ++i) {
    if (i % 7 == 0) statistics.Add(std::nullopt);
    values.push_back(normal(engine));
    statistics.Add(values.back());
  }
  double mean = 0, square = 0;
  for (double value : values) mean += value / static_cast<double>(values.size());
  for (double value : values) square += (value - mean) * (value - mean);
  EXPECT_EQ(statistics.counted, 500);
  EXPECT_EQ(statistics.skipped, 72);
  EXPECT_NEAR(*statistics.Mean(), mean, 1e-9);
  EXPECT_NEAR(*statistics.StdDev(), std::sqrt(square / 499), 1e-9);
}

TEST(Statistics, OfNothingHasNoMeanAndOfOneNoSpread) {
  Statistics statistics;
  statistics.Add(std::nullopt);
  EXPECT_FALSE(statistics.Mean() || statistics.StdDev());
  statistics.Add(0.25);
  EXPECT_EQ(*statistics.Mean(), 0.25);
  EXPECT_FALSE(statistics.StdDev());
}

}  // namespace
}  // namespace lanthorn::tscore
