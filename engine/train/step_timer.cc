#include "engine/train/step_timer.h"

#include <algorithm>
#include <cmath>

namespace lanthorn::train {
namespace {

// Linear interpolation between order statistics; `values` must not be empty.
double Quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  const double at = share * static_cast<double>(values.size() - 1);
  const size_t below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (at - std::floor(at)) * (values[above] - values[below]);
}

}  // namespace

void StepTimer::Add(double seconds) {
  ++seen_;
  const bool counts = seen_ > kWarmUp && !skip_next_;
  skip_next_ = false;
  if (!counts) return;
  counted_.push_back(seconds);
  block_sum_ += seconds;
  if (++block_size_ < kBlock) return;
  blocks_.push_back(block_sum_ / static_cast<double>(kBlock));
  block_sum_ = 0;
  block_size_ = 0;
}

std::optional<double> StepTimer::Percentile(double share) const {
  if (counted_.empty()) return std::nullopt;
  return Quantile(counted_, share);
}

std::optional<double> StepTimer::Median() const { return Percentile(0.5); }

std::optional<Interval> StepTimer::Remaining(int64_t steps, double other_s) const {
  if (blocks_.empty()) return std::nullopt;
  const double count = static_cast<double>(steps);
  return Interval{count * Quantile(blocks_, 0.1) + other_s, count * Quantile(blocks_, 0.5) + other_s,
                  count * Quantile(blocks_, 0.9) + other_s};
}

}  // namespace lanthorn::train
