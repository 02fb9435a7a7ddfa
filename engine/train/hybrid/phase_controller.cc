#include "engine/train/hybrid/phase_controller.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"

namespace lanthorn::train {

absl::Status PhaseController::Check(const HybridOptions& o) {
  if (o.warmup_steps < 1)
    return ConfigError(absl::StrFormat("hybrid: warmup_steps must be 1 or more, got %d", o.warmup_steps));
  if (o.full_steps < 1)
    return ConfigError(absl::StrFormat("hybrid: full_steps must be 1 or more, got %d", o.full_steps));
  if (o.max_predict < 1)
    return ConfigError(absl::StrFormat("hybrid: max_predict must be 1 or more, got %d", o.max_predict));
  if (!(o.threshold > 0 && o.threshold < 1))
    return ConfigError(absl::StrFormat("hybrid: threshold must be between 0 and 1, got %g", o.threshold));
  if (o.correct_steps < 0)
    return ConfigError(absl::StrFormat("hybrid: correct_steps must not be negative, got %d", o.correct_steps));
  return absl::OkStatus();
}

PhaseController::PhaseController(const HybridOptions& options)
    : options_(options), length_(options.warmup_steps), confidence_(options.confidence) {}

void PhaseController::Begin(HybridPhase phase, int64_t length) {
  phase_ = phase;
  length_ = length;
  done_ = 0;
}

// After a full block or a correction.
void PhaseController::Choose() {
  const double confidence = std::isfinite(confidence_) ? confidence_ : 0;
  if (rejected_ || confidence < options_.threshold || consecutive_ >= options_.max_consecutive) {
    rejected_ = false;
    consecutive_ = 0;
    return Begin(HybridPhase::kFull, options_.full_steps);
  }
  ++consecutive_;
  const double most = std::floor(static_cast<double>(options_.max_predict) * confidence * confidence);
  const double shorter = most * (1 - std::min(0.1 * static_cast<double>(consecutive_), 0.5));
  const int64_t length =
      std::min(std::max<int64_t>(static_cast<int64_t>(std::floor(shorter)), 10), options_.max_predict);
  Begin(HybridPhase::kPredict, length);
}

void PhaseController::Advance() {
  ++counts_[static_cast<size_t>(phase_)];
  ++steps_;
  if (++done_ < length_) return;
  switch (phase_) {
    case HybridPhase::kWarmup:
      return Begin(HybridPhase::kFull, options_.full_steps);
    case HybridPhase::kPredict:
      if (options_.correct_steps > 0) return Begin(HybridPhase::kCorrect, options_.correct_steps);
      return Choose();
    case HybridPhase::kFull:
    case HybridPhase::kCorrect:
      return Choose();
  }
}

void PhaseController::Judge(bool accepted) {
  rejected_ = !accepted;
  if (!options_.fixed_confidence) confidence_ = 0.8 * confidence_ + 0.2 * (accepted ? 1 : 0);
}

bool PhaseController::Raise(Alarm alarm) {
  if (alarm < Alarm::kWarning) return false;
  consecutive_ = options_.max_consecutive;
  Begin(HybridPhase::kFull, 2 * options_.full_steps);
  if (alarm != Alarm::kCritical) return false;
  criticals_.push_back(steps_);
  std::erase_if(criticals_, [&](int64_t at) { return steps_ - at >= kWithin; });
  return static_cast<int64_t>(criticals_.size()) >= kCriticals;
}

nlohmann::json PhaseController::State() const {
  return {{"phase", static_cast<int>(phase_)},
          {"length", length_},
          {"done", done_},
          {"consecutive", consecutive_},
          {"steps", steps_},
          {"confidence", confidence_},
          {"rejected", rejected_},
          {"criticals", criticals_},
          {"counts", counts_}};
}

void PhaseController::Load(const nlohmann::json& state) {
  phase_ = static_cast<HybridPhase>(state.at("phase").get<int>());
  length_ = state.at("length");
  done_ = state.at("done");
  consecutive_ = state.at("consecutive");
  steps_ = state.at("steps");
  confidence_ = state.at("confidence");
  rejected_ = state.at("rejected");
  criticals_ = state.at("criticals").get<std::vector<int64_t>>();
  counts_ = state.at("counts").get<std::array<int64_t, 4>>();
}

}  // namespace lanthorn::train
