// Time of training steps: which count, their median, and an interval for what remains (guards/README.md, Timing).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/train/report/running_quantile.h"

namespace lanthorn::train {

inline double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Interval {
  double low = 0, mid = 0, high = 0;  // seconds
};

// A step costs log(steps) here: what is asked for at every step is kept ready.
class StepTimer {
 public:
  // A step took `seconds`. The first five of the process and the one after an interruption are recorded, not counted.
  void Add(double seconds);
  // An eval or a save went by: the next step does not count.
  void Interrupted() { skip_next_ = true; }

  // Whether the last step counts.
  bool last_counted() const { return last_counted_; }
  int64_t counted() const { return static_cast<int64_t>(counted_.size()); }
  std::optional<double> Median() const { return median_.Value(); }
  // Sorts all steps: for the end of a run.
  std::optional<double> Percentile(double share) const;
  // Seconds for `steps` more steps plus `other_s`: the 10th, 50th and 90th percentile of the means of blocks of 20
  // counted steps. No value before there is one block.
  std::optional<Interval> Remaining(int64_t steps, double other_s) const;

 private:
  static constexpr int64_t kWarmUp = 5, kBlock = 20;
  int64_t seen_ = 0;
  bool skip_next_ = false, last_counted_ = false;
  double block_sum_ = 0;
  int64_t block_size_ = 0;
  std::vector<double> counted_;
  RunningQuantile median_{0.5};
  RunningQuantile low_{0.1}, mid_{0.5}, high_{0.9};  // of the blocks' means
};

}  // namespace lanthorn::train
