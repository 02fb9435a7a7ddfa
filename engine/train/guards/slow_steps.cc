#include "engine/train/guards/slow_steps.h"

#include "absl/strings/str_format.h"
#include "engine/train/guards/loop_guard.h"

namespace lanthorn::train {

std::optional<Warning> SlowSteps::Add(int64_t step, double seconds, const PhaseSeconds& phases) {
  std::optional<Warning> found;
  const double median = median_.Value().value_or(0);
  const bool slow = seconds > kTimes * median && seconds - median > kLeast;
  if (slow && static_cast<int64_t>(seconds_.size()) >= kFewest && step >= quiet_until_) {
    quiet_until_ = 2 * step;
    double rest = seconds - median, grown = 0;
    const char* name = "other";
    for (size_t i = 0; i < phases.size(); ++i) {
      const double more = phases[i] - phases_[i].Value().value_or(0);
      rest -= more;
      if (more > grown) grown = more, name = kPhaseNames[i];
    }
    if (rest > grown) grown = rest, name = "other";
    found =
        Warning{absl::StrFormat("G16 slow_step: update %d took %.2f s, %.1f times the median %.2f s; phase '%s' grew "
                                "most, by %.2f s; is the machine shared, or the disk slow?",
                                step, seconds, seconds / median, median, name, grown),
                step, seconds, kTimes * median};
  }
  seconds_.push_back(seconds);
  median_.Add(seconds);
  for (size_t i = 0; i < phases.size(); ++i) phases_[i].Add(phases[i]);
  return found;
}

std::optional<Warning> SlowSteps::Trend(int64_t step) const {
  const std::ptrdiff_t fifth = static_cast<std::ptrdiff_t>(seconds_.size() / 5);
  if (fifth < kFewest) return std::nullopt;
  const double first = Quantile({seconds_.begin(), seconds_.begin() + fifth}, 0.5);
  const double last = Quantile({seconds_.end() - fifth, seconds_.end()}, 0.5);
  if (last <= kTrend * first || (last - first) * static_cast<double>(seconds_.size()) < kLeastInAll)
    return std::nullopt;
  return Warning{absl::StrFormat("G16 slow_step: updates became slower: median %.3f s in the last fifth, %.3f s in the "
                                 "first, expected at most %.1f times that; does something grow with every update?",
                                 last, first, kTrend),
                 step, last, kTrend * first};
}

namespace {

class SlowStepGuard final : public LoopGuard {
 public:
  std::optional<Finding> AfterUpdate(const StepRecord& record) override {
    if (!record.counted) return std::nullopt;
    PhaseSeconds phases = record.phases;
    const double log = SecondsOf(record.between, Phase::kLog);  // a slow disk shows there
    SecondsOf(phases, Phase::kLog) += log;
    return Of(slow_.Add(record.step, record.seconds + log, phases));
  }
  std::optional<Finding> AtEnd(int64_t step) override { return Of(slow_.Trend(step)); }

 private:
  static std::optional<Finding> Of(const std::optional<Warning>& found) {
    return found ? std::optional(Finding{*found}) : std::nullopt;
  }
  SlowSteps slow_;
};

const RegisterLoopGuard guard({"G16", "slow_step", GuardLevel::kWarn, ExitCode::kLimit,
                               [](const auto&) { return std::make_unique<SlowStepGuard>(); }});

}  // namespace
}  // namespace lanthorn::train
