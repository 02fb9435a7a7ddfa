// Whether the loss has left that of guessing evenly (guard G37).
#pragma once

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "engine/train/report/records.h"

namespace lanthorn::train {

class LearningCheck {
 public:
  static constexpr int64_t kFewest = 200;
  static constexpr double kReach = 0.05;  // nats below ln V that count as learning
  static constexpr double kFirst = 16;    // weight of the losses that make an average: about 20 of them
  static constexpr double kDecay = 0.98;  // of the smoothed loss: about the last 50 updates

  // `uniform`: ln V. `planned`: updates of the whole training.
  LearningCheck(double uniform, int64_t planned) : uniform_(uniform), from_(std::max(kFewest, (planned + 9) / 10)) {}

  // After update number `step`; a loss that is not finite is passed over. A value, once, when the smoothed loss is
  // still above ln V - 0.05 after max(200, 10 % of the plan) updates. It was learnt when the smoothed loss was below
  // that where a domain came that had not been met before, with a loss that is its own.
  std::optional<Warning> Add(int64_t step, double loss, int64_t domain = 0);
  // For a training that goes on from this update: nothing is left to ask when it was asked before.
  void Resume(int64_t step) { done_ = step >= from_; }
  bool done() const { return done_; }

 private:
  double uniform_;
  int64_t from_;
  double sum_ = 0, weight_ = 0;
  std::set<int64_t> domains_;  // met so far
  bool done_ = false;
};

}  // namespace lanthorn::train
