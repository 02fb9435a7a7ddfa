// T-Score: how much the per-sample gradients of a batch disagree.
//
//   T = 1 - S / (N Q),   S = || sum_i g_i ||^2,   Q = sum_i || g_i ||^2
//
// 0 for identical gradients, 1 - 1/N for orthogonal ones of equal length, 1 when they cancel. A common factor on all
// g_i cancels, so contributions to a mean loss serve as well as the gradients of the samples' own losses.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/base/status.h"

namespace lanthorn::tscore {

// The simple noise scale of McCandlish et al. 2018, "An Empirical Model of Large-Batch Training": B_simple = tr(Sigma)
// /
// || G ||^2, where G is the expected gradient of a sample's own loss and Sigma its covariance. Both are estimated
// without bias from one batch of N; the one of || G ||^2 may come out negative, and then the batch has no noise scale.
struct Noise {
  std::optional<double> trace;       // estimate of tr(Sigma): (mean || g_i ||^2 - || mean g_i ||^2) N / (N - 1)
  std::optional<double> signal;      // estimate of || G ||^2: (N || mean g_i ||^2 - mean || g_i ||^2) / (N - 1)
  std::optional<double> scale;       // trace / signal, in samples, of one batch: t_corrected / (1 - t_corrected)
  std::string status = "undefined";  // ok, no_signal (signal <= 0), or why the score is undefined
};

// The score of some of the parameters. S and Q of a model are the sums over its groups.
struct GroupScore {
  std::string name;
  double s = 0, q = 0;
  std::optional<double> t, t_corrected;
  std::string status;
};

struct Score {
  std::optional<double> t;            // in [0, 1]; no value when undefined
  std::optional<double> t_corrected;  // T * N / (N - 1), may exceed 1
  double raw = 0;                     // T before it is limited to [0, 1]
  double s = 0, q = 0;
  int64_t n = 0;
  std::string status = "ok";       // ok, too_few, nonfinite, vanishing
  std::string method;              // exact (sample norms in the backward) or loop (N backwards)
  std::vector<double> sample_sq;   // || g_i ||^2, N values
  std::vector<GroupScore> groups;  // in the order of parameters; empty unless asked for
  Noise noise;
};

// The score from its sums. `theta_norm` is the norm of the parameters (gradients are "vanishing" when the mean square
// falls below (1e-8 theta_norm)^2); without it the bound is Q < 1e-20.
Score Compute(double s, double q, int64_t n, std::optional<double> theta_norm = std::nullopt);

// Fills in the noise of a score that has s, q, n and status. `own` is what the recorded g_i are multiplied by to be the
// gradients of the samples' own losses: N when they are shares of a mean loss, 1 when they are such gradients already.
void SetNoise(double own, Score* score);

// Mean, standard deviation (n - 1) and counts over values that may be undefined.
struct Statistics {
  int64_t counted = 0, skipped = 0;
  double sum = 0, sum_sq_dev = 0, mean = 0;  // Welford
  void Add(std::optional<double> value);
  std::optional<double> Mean() const;
  std::optional<double> StdDev() const;
};

// The noise scale over several batches: numerator and denominator are averaged apart, since a quotient's mean is
// biased.
struct NoiseStatistics {
  Statistics trace, signal;
  void Add(const Noise& noise);
  // No value without batches, or when the mean signal is not positive.
  std::optional<double> Scale() const;
};

}  // namespace lanthorn::tscore
