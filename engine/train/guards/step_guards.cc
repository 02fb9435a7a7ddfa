#include "engine/train/guards/step_guards.h"

#include "engine/base/memory/memory.h"

namespace lanthorn::train {

StepGuards::StepGuards(const GuardOptions& options, const std::vector<nn::NamedParameter>& parameters,
                       optim::Optimizer& optimizer, int64_t step, int64_t planned, WarnFn warn)
    : options_(options),
      parameters_(parameters),
      optimizer_(optimizer),
      first_step_(step),
      warn_(std::move(warn)),
      norms_(options.grad_norm_ratio, options.clip_norm) {
  if (options_.no_learning != GuardLevel::kOff && options_.uniform_loss > 0) {
    learning_.emplace(options_.uniform_loss, planned);
    learning_->Resume(step);
  }
  if (options_.protected_parameters == GuardLevel::kOff) return;
  protected_.emplace(parameters);
  resting_.emplace(&optimizer);
}

absl::Status StepGuards::Raise(GuardLevel level, const Warning& warning, ExitCode code) const {
  if (level == GuardLevel::kOff) return absl::OkStatus();
  return level == GuardLevel::kError ? Error(code, warning.message) : warn_(warning);
}

absl::Status StepGuards::CheckMemory(const StepRecord& record) {
  const bool counted = memory::Allocations() > 0 && !parameters_.empty() && parameters_[0].tensor.device().is_cpu();
  if (!floor_checked_ && !record.skipped && options_.memory_floor != GuardLevel::kOff &&
      (counted || options_.peak_bytes)) {
    floor_checked_ = true;
    const int64_t peak = options_.peak_bytes ? options_.peak_bytes() : memory::TensorPeakBytes();
    if (const auto found = BelowMemoryFloor(record.step, peak, MemoryFloor(parameters_, optimizer_)))
      LANTHORN_RETURN_IF_ERROR(Raise(options_.memory_floor, *found, ExitCode::kMachine));
  }
  if (options_.memory_growth == GuardLevel::kOff || !counted || record.step % MemoryGrowth::kSampleEvery != 0)
    return absl::OkStatus();
  const auto limit = static_cast<int64_t>(options_.memory_limit_mb * 1e6);
  const auto found =
      growth_.Add(record.step, record.steps - record.step,
                  {{{"tensors", memory::TensorBytes(), limit > 0 ? limit : memory::Limit()},
                    {"the process", memory::ResidentBytes(), limit > 0 ? limit : memory::MachineBytes()}}});
  if (!found) return absl::OkStatus();
  if (found->fatal && options_.memory_growth == GuardLevel::kError) {
    limit_ = found->warning.message;
    return absl::OkStatus();
  }
  return warn_(found->warning);
}

absl::Status StepGuards::Finish(int64_t step) {
  if (options_.slow_step == GuardLevel::kOff) return absl::OkStatus();
  const auto found = slow_.Trend(step);
  return found ? Raise(options_.slow_step, *found, ExitCode::kLimit) : absl::OkStatus();
}

absl::Status StepGuards::AfterUpdate(const StepRecord& record) {
  if (protected_) {
    if (const auto found = protected_->AfterUpdate(record.step - first_step_, record.step))
      LANTHORN_RETURN_IF_ERROR(Raise(options_.protected_parameters, *found));
    if (const std::string& moved = resting_->moved(); !record.skipped && !moved.empty())
      LANTHORN_RETURN_IF_ERROR(Raise(options_.protected_parameters, MovedAtRest(moved, record.step)));
  }
  if (const auto found = skipped_.Add(record.step, record.skipped)) {
    const bool stops = found->fatal && options_.skipped_updates == GuardLevel::kError;
    if (stops || options_.skipped_updates != GuardLevel::kOff)
      LANTHORN_RETURN_IF_ERROR(Raise(stops ? GuardLevel::kError : GuardLevel::kWarn, found->warning));
  }
  if (learning_ && !learning_->done()) {
    if (const auto found = learning_->Add(record.step, record.loss))
      LANTHORN_RETURN_IF_ERROR(Raise(options_.no_learning, *found));
  }
  LANTHORN_RETURN_IF_ERROR(CheckMemory(record));
  if (record.counted && options_.slow_step != GuardLevel::kOff) {
    PhaseSeconds phases = record.phases;
    const double log = SecondsOf(record.between, Phase::kLog);  // a slow disk shows there
    SecondsOf(phases, Phase::kLog) += log;
    if (const auto found = slow_.Add(record.step, record.seconds + log, phases))
      LANTHORN_RETURN_IF_ERROR(Raise(options_.slow_step, *found, ExitCode::kLimit));
  }
  if (record.skipped) return absl::OkStatus();
  if (const auto found = norms_.Add(record.step, record.grad_norm)) return warn_(*found);
  return absl::OkStatus();
}

}  // namespace lanthorn::train
