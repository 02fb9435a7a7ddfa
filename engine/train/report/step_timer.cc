#include "engine/train/report/step_timer.h"

namespace lanthorn::train {

void StepTimer::Add(double seconds) {
  ++seen_;
  // Rates come from counted steps alone (guard G14).
  const bool counts = last_counted_ = seen_ > kWarmUp && !skip_next_;
  skip_next_ = false;
  if (!counts) return;
  counted_.push_back(seconds);
  median_.Add(seconds);
  block_sum_ += seconds;
  if (++block_size_ < kBlock) return;
  for (RunningQuantile* quantile : {&low_, &mid_, &high_}) quantile->Add(block_sum_ / static_cast<double>(kBlock));
  block_sum_ = 0;
  block_size_ = 0;
}

std::optional<double> StepTimer::Percentile(double share) const {
  if (counted_.empty()) return std::nullopt;
  return Quantile(counted_, share);
}

std::optional<Interval> StepTimer::Remaining(int64_t steps, double other_s) const {
  if (!mid_.Value()) return std::nullopt;
  const double count = static_cast<double>(steps);
  return Interval{count * *low_.Value() + other_s, count * *mid_.Value() + other_s, count * *high_.Value() + other_s};
}

}  // namespace lanthorn::train
