#include "engine/train/step_guards.h"

namespace lanthorn::train {

StepGuards::StepGuards(const GuardOptions& options, const std::vector<nn::NamedParameter>& parameters, int64_t step,
                       int64_t planned, WarnFn warn)
    : options_(options), first_step_(step), warn_(std::move(warn)), norms_(options.grad_norm_ratio) {
  if (options_.no_learning != GuardLevel::kOff && options_.uniform_loss) {
    learning_.emplace(*options_.uniform_loss, planned);
    learning_->Resume(step);
  }
  if (options_.protect != GuardLevel::kOff) protected_.emplace(parameters);
}

absl::Status StepGuards::Raise(GuardLevel level, const Warning& warning) const {
  if (level == GuardLevel::kOff) return absl::OkStatus();
  return level == GuardLevel::kError ? NumericsError(warning.message) : warn_(warning);
}

absl::Status StepGuards::AfterUpdate(const StepRecord& record) {
  if (protected_) {
    if (const auto found = protected_->AfterUpdate(record.step - first_step_, record.step))
      LANTHORN_RETURN_IF_ERROR(Raise(options_.protect, *found));
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
  if (record.skipped) return absl::OkStatus();
  if (const auto found = norms_.Add(record.step, record.grad_norm)) return warn_(*found);
  return absl::OkStatus();
}

}  // namespace lanthorn::train
