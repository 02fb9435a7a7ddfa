#include "engine/tscore/score.h"

#include <algorithm>
#include <cmath>

namespace lanthorn::tscore {

Score Compute(double s, double q, int64_t n, std::optional<double> theta_norm) {
  Score score;
  score.s = s;
  score.q = q;
  score.n = n;
  // Where there is nothing to measure there is no value, and nothing acts on it (guard G46).
  const double tiny = theta_norm ? static_cast<double>(n) * std::pow(1e-8 * *theta_norm, 2) : 1e-20;
  if (n < 2) {
    score.status = "too_few";
  } else if (!std::isfinite(s) || !std::isfinite(q)) {
    score.status = "nonfinite";
  } else if (q <= tiny) {
    score.status = "vanishing";
  } else {
    score.raw = 1 - s / (static_cast<double>(n) * q);
    score.t = std::clamp(score.raw, 0.0, 1.0);
    score.t_corrected = *score.t * static_cast<double>(n) / static_cast<double>(n - 1);
  }
  return score;
}

void SetNoise(double own, Score* score) {
  Noise noise;
  noise.status = score->status;
  if (score->status == "ok") {
    const double n = static_cast<double>(score->n), factor = own * own;
    noise.trace = std::max(0.0, factor * (score->q - score->s / n) / (n - 1));  // below 0 by rounding alone
    noise.signal = factor * (score->s - score->q) / (n * (n - 1));
    if (*noise.signal > 0) {
      noise.scale = *noise.trace / *noise.signal;
    } else {
      noise.status = "no_signal";
    }
  }
  score->noise = noise;
}

void Statistics::Add(std::optional<double> value) {
  if (!value) {
    ++skipped;
    return;
  }
  ++counted;
  const double delta = *value - mean;
  mean += delta / static_cast<double>(counted);
  sum_sq_dev += delta * (*value - mean);
  sum += *value;
}

std::optional<double> Statistics::Mean() const { return counted > 0 ? std::optional<double>(mean) : std::nullopt; }

std::optional<double> Statistics::StdDev() const {
  if (counted < 2) return std::nullopt;
  return std::sqrt(sum_sq_dev / static_cast<double>(counted - 1));
}

void NoiseStatistics::Add(const Noise& noise) {
  trace.Add(noise.trace);
  signal.Add(noise.signal);
}

std::optional<double> NoiseStatistics::Scale() const {
  if (signal.counted == 0 || !(signal.mean > 0)) return std::nullopt;
  return trace.mean / signal.mean;
}

}  // namespace lanthorn::tscore
