// Whether the loss has left that of guessing evenly (guard G37).
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "engine/train/report/records.h"

namespace lanthorn::train {

class LearningCheck {
 public:
  static constexpr int64_t kFewest = 200;
  static constexpr double kReach = 0.05;  // nats below ln V that count as learning
  static constexpr int64_t kFirst = 20;   // losses that make an average
  static constexpr double kDecay = 0.98;  // of the smoothed loss: about the last 50 updates

  // `uniform`: ln V. `planned`: updates of the whole training.
  LearningCheck(double uniform, int64_t planned) : uniform_(uniform), from_(std::max(kFewest, (planned + 9) / 10)) {}

  // After update number `step`; a loss that is not finite is passed over. A value, once, when after max(200, 10 % of
  // the plan) updates the smoothed loss has not yet been at ln V - 0.05 or below. What was learnt before another task
  // began counts.
  std::optional<Warning> Add(int64_t step, double loss);
  // For a training that goes on from this update: nothing is left to ask when it was asked before.
  void Resume(int64_t step) { done_ = step >= from_; }
  bool done() const { return done_; }

 private:
  double uniform_;
  int64_t from_;
  double sum_ = 0, weight_ = 0, least_ = std::numeric_limits<double>::infinity();
  int64_t seen_ = 0;
  bool done_ = false;
};

}  // namespace lanthorn::train
