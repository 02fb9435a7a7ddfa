// Quantiles by linear interpolation between order statistics (Hyndman and Fan 1996, type 7, as numpy.percentile takes
// them): of a list, and of a stream that is asked after every value.
#pragma once

#include <functional>
#include <optional>
#include <queue>
#include <vector>

namespace lanthorn::train {

// The `share` (0 to 1) quantile; `values` must not be empty. Sorts.
double Quantile(std::vector<double> values, double share);

// The same of all values added so far, without sorting them again: a value costs log(n), the quantile nothing.
class RunningQuantile {
 public:
  explicit RunningQuantile(double share) : share_(share) {}
  void Add(double value);
  // No value before the first Add.
  std::optional<double> Value() const;

 private:
  // Where the quantile lies among the sorted values; whole part and fraction.
  double Position() const { return share_ * static_cast<double>(below_.size() + above_.size() - 1); }

  double share_;
  std::priority_queue<double> below_;  // up to the whole part of the position, the largest on top
  std::priority_queue<double, std::vector<double>, std::greater<>> above_;  // the rest, the smallest on top
};

}  // namespace lanthorn::train
