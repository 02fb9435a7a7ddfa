#include "engine/train/guards/learning_check.h"

#include "absl/strings/str_format.h"
#include "engine/train/guards/loop_guard.h"

namespace lanthorn::train {

std::optional<Warning> LearningCheck::Add(int64_t step, double loss, int64_t domain) {
  if (done_ || !std::isfinite(loss)) return std::nullopt;
  const double limit = uniform_ - kReach;
  if (domains_.insert(domain).second && weight_ >= kFirst && sum_ / weight_ <= limit) {
    done_ = true;
    return std::nullopt;
  }
  sum_ = kDecay * sum_ + loss;
  weight_ = kDecay * weight_ + 1;
  if (step < from_) return std::nullopt;
  done_ = true;
  const double smoothed = sum_ / weight_;
  if (smoothed <= limit) return std::nullopt;
  return Warning{
      absl::StrFormat("G37 no_learning: the loss is %.3f nats, guessing gives %.3f: after %d updates at "
                      "most %.3f is expected; is the learning rate 0 or far too small, or are targets unrelated to "
                      "inputs? to accept: guards.no_learning=off",
                      smoothed, uniform_, step, limit),
      step, smoothed, limit};
}

namespace {

class LearningGuard final : public LoopGuard {
 public:
  explicit LearningGuard(const LoopGuardContext& context) : check_(context.options.uniform_loss, context.planned) {
    check_.Resume(context.step);
  }
  std::optional<Finding> AfterUpdate(const StepRecord& record) override {
    if (check_.done()) return std::nullopt;
    const auto found = check_.Add(record.step, record.loss, record.domain);
    return found ? std::optional(Finding{*found}) : std::nullopt;
  }

 private:
  LearningCheck check_;
};

const RegisterLoopGuard guard({"G37", "no_learning", GuardLevel::kError, ExitCode::kNumerics,
                               [](const auto& context) -> std::unique_ptr<LoopGuard> {
                                 if (!(context.options.uniform_loss > 0)) return nullptr;
                                 return std::make_unique<LearningGuard>(context);
                               }});

}  // namespace
}  // namespace lanthorn::train
