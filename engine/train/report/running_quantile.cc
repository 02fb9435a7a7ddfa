#include "engine/train/report/running_quantile.h"

#include <algorithm>
#include <cmath>

namespace lanthorn::train {

double Quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  const double at = share * static_cast<double>(values.size() - 1);
  const size_t below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (at - std::floor(at)) * (values[above] - values[below]);
}

void RunningQuantile::Add(double value) {
  if (!below_.empty() && value <= below_.top()) {
    below_.push(value);
  } else {
    above_.push(value);
  }
  const size_t wanted = static_cast<size_t>(Position()) + 1;
  while (below_.size() > wanted) {
    above_.push(below_.top());
    below_.pop();
  }
  while (below_.size() < wanted) {
    below_.push(above_.top());
    above_.pop();
  }
}

std::optional<double> RunningQuantile::Value() const {
  if (below_.empty()) return std::nullopt;
  const double at = Position(), lower = below_.top(), upper = above_.empty() ? lower : above_.top();
  return lower + (at - std::floor(at)) * (upper - lower);
}

}  // namespace lanthorn::train
