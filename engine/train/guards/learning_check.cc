#include "engine/train/guards/learning_check.h"

#include "absl/strings/str_format.h"

namespace lanthorn::train {

std::optional<Warning> LearningCheck::Add(int64_t step, double loss) {
  if (done_ || !std::isfinite(loss)) return std::nullopt;
  sum_ = kDecay * sum_ + loss;
  weight_ = kDecay * weight_ + 1;
  if (step < from_) return std::nullopt;
  done_ = true;
  const double smoothed = sum_ / weight_, limit = uniform_ - kReach;
  if (smoothed <= limit) return std::nullopt;
  return Warning{
      absl::StrFormat("G37 no_learning: the loss is %.3f nats, guessing gives %.3f (ln V): after %d updates at "
                      "most %.3f is expected; is the learning rate 0 or far too small, or are targets unrelated to "
                      "inputs? to accept: guards.no_learning=off",
                      smoothed, uniform_, step, limit),
      step, smoothed, limit};
}

}  // namespace lanthorn::train
