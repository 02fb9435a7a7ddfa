// Updates that take much longer than the others, and a training that becomes slower (guard G16).
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "engine/train/report/records.h"
#include "engine/train/report/running_quantile.h"

namespace lanthorn::train {

class SlowSteps {
 public:
  static constexpr double kTimes = 3, kTrend = 1.2;
  static constexpr int64_t kFewest = 20;
  // What costs less is not worth a word: seconds of one update above the median, and of all updates above the first
  // ones.
  static constexpr double kLeast = 1, kLeastInAll = 10;

  // A counted update (guards/README.md, Timing). A value when it took more than 3 medians; it names the phase that grew
  // most. Warns rarely: after a warning at update n not before 2 n.
  std::optional<Warning> Add(int64_t step, double seconds, const PhaseSeconds& phases);
  // At the end: whether the median of the last fifth is above 1.2 times that of the first.
  std::optional<Warning> Trend(int64_t step) const;

 private:
  std::vector<double> seconds_;
  RunningQuantile median_{0.5};
  std::vector<RunningQuantile> phases_{static_cast<size_t>(Phase::kCount), RunningQuantile(0.5)};
  int64_t quiet_until_ = 0;
};

}  // namespace lanthorn::train
