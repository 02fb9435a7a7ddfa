// The simple noise scale against means and covariances written out, and the lack of bias by drawing many batches.
#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <cmath>

#include "engine/tscore/score.h"

namespace lanthorn::tscore {
namespace {

Score Of(const at::Tensor& rows, double own = 1) {
  Score score = Compute(rows.sum(0).square().sum().item<double>(), rows.square().sum().item<double>(), rows.size(0));
  SetNoise(own, &score);
  return score;
}

TEST(NoiseScale, EqualsTheEstimatesFromMeanAndCovariance) {
  at::manual_seed(3);
  for (const int64_t n : {2, 3, 17}) {
    const at::Tensor g = at::randn({n, 12}, c10::kDouble) + 2;
    // The unbiased covariance's trace; || mean ||^2 exceeds || G ||^2 by tr(Sigma) / n on average.
    const double trace = g.var(0, /*unbiased=*/true).sum().item<double>();
    const double signal = g.mean(0).square().sum().item<double>() - trace / static_cast<double>(n);
    const Score score = Of(g);
    EXPECT_NEAR(*score.noise.trace, trace, 1e-11 * trace);
    EXPECT_NEAR(*score.noise.signal, signal, 1e-11 * signal);
    EXPECT_NEAR(*score.noise.scale, trace / signal, 1e-11 * trace / signal);
    EXPECT_EQ(score.noise.status, "ok");
    EXPECT_NEAR(*score.noise.scale, *score.t_corrected / (1 - *score.t_corrected), 1e-9);
    // Shares of a mean loss are the gradients over n; the estimates are of the samples' own gradients.
    const Score shares = Of(g / static_cast<double>(n), static_cast<double>(n));
    EXPECT_NEAR(*shares.noise.trace, trace, 1e-11 * trace);
    EXPECT_NEAR(*shares.noise.signal, signal, 1e-11 * signal);
  }
}

TEST(NoiseScale, TheEstimatesAreUnbiasedAndTheirMeansGiveTheScale) {
  at::manual_seed(4);
  const at::Tensor mean = at::tensor({0.3, -0.1, 0.2, 0.0}, c10::kDouble);
  const at::Tensor deviation = at::tensor({1.0, 0.5, 2.0, 0.25}, c10::kDouble);
  const double trace = deviation.square().sum().item<double>(), signal = mean.square().sum().item<double>();
  NoiseStatistics statistics;
  constexpr int kBatches = 40000;
  for (int i = 0; i < kBatches; ++i) statistics.Add(Of(mean + deviation * at::randn({4, 4}, c10::kDouble)).noise);
  EXPECT_EQ(statistics.trace.counted, kBatches);
  // Within four standard errors of the truth.
  const double root = std::sqrt(static_cast<double>(kBatches));
  EXPECT_NEAR(*statistics.trace.Mean(), trace, 4 * *statistics.trace.StdDev() / root);
  EXPECT_NEAR(*statistics.signal.Mean(), signal, 4 * *statistics.signal.StdDev() / root);
  EXPECT_NEAR(*statistics.Scale(), *statistics.trace.Mean() / *statistics.signal.Mean(), 1e-12);
}

TEST(NoiseScale, WithoutSignalThereIsNoValueAndItIsSaid) {
  const at::Tensor g = at::eye(3, c10::kDouble);
  const Score cancelling = Of(at::cat({g, -g}));
  EXPECT_EQ(cancelling.noise.status, "no_signal");
  EXPECT_FALSE(cancelling.noise.scale);
  EXPECT_LT(*cancelling.noise.signal, 0);
  EXPECT_GT(*cancelling.noise.trace, 0);
  const Score orthogonal = Of(g);  // exactly at the border: t_corrected is 1
  EXPECT_EQ(orthogonal.noise.status, "no_signal");
  NoiseStatistics statistics;
  statistics.Add(cancelling.noise);
  EXPECT_FALSE(statistics.Scale());
}

TEST(NoiseScale, IsUndefinedWhereTheScoreIs) {
  for (const at::Tensor& rows : {at::ones({1, 3}, c10::kDouble), at::zeros({4, 3}, c10::kDouble),
                                 at::full({4, 3}, NAN, c10::kDouble), at::full({4, 3}, INFINITY, c10::kDouble)}) {
    const Score score = Of(rows);
    EXPECT_NE(score.status, "ok");
    EXPECT_EQ(score.noise.status, score.status);
    EXPECT_FALSE(score.noise.trace || score.noise.signal || score.noise.scale);
    NoiseStatistics statistics;
    statistics.Add(score.noise);
    EXPECT_EQ(statistics.signal.skipped, 1);
    EXPECT_FALSE(statistics.Scale());
  }
}

TEST(NoiseScale, EqualGradientsHaveNone) {
  const Score score = Of(at::ones({5, 3}, c10::kDouble));
  EXPECT_NEAR(*score.noise.scale, 0, 1e-12);
  EXPECT_NEAR(*score.noise.signal, 3, 1e-12);
}

}  // namespace
}  // namespace lanthorn::tscore
