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

struct Score {
  std::optional<double> t;            // in [0, 1]; no value when undefined
  std::optional<double> t_corrected;  // T * N / (N - 1), may exceed 1
  double raw = 0;                     // T before it is limited to [0, 1]
  double s = 0, q = 0;
  int64_t n = 0;
  std::string status = "ok";      // ok, too_few, nonfinite, vanishing
  std::string method;             // exact (sample norms in the backward) or loop (N backwards)
  std::vector<double> sample_sq;  // || g_i ||^2, N values
};

// The score from its sums. `theta_norm` is the norm of the parameters (gradients are "vanishing" when the mean square
// falls below (1e-8 theta_norm)^2); without it the bound is Q < 1e-20.
Score Compute(double s, double q, int64_t n, std::optional<double> theta_norm = std::nullopt);

// The published formula: N < 2 gives 0.5, and an absolute eps turns vanishing gradients into 1.
double ComputeV11(double s, double q, int64_t n);

// Mean, standard deviation (n - 1) and counts over values that may be undefined.
struct Statistics {
  int64_t counted = 0, skipped = 0;
  double sum = 0, sum_sq_dev = 0, mean = 0;  // Welford
  void Add(std::optional<double> value);
  std::optional<double> Mean() const;
  std::optional<double> StdDev() const;
};

}  // namespace lanthorn::tscore
