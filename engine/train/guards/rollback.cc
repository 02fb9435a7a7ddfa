// The trainer's side of divergence (guard G23): stop with evidence, skip the update, or go back and try smaller
// steps.
#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "engine/train/guards/alive_check.h"
#include "engine/train/guards/divergence.h"
#include "engine/train/guards/step_guards.h"
#include "engine/train/trainer.h"

namespace lanthorn::train {
namespace {

bool IsDivergence(const absl::Status& status) {
  return ExitCodeOf(status) == ExitCode::kNumerics && MessageOf(status).rfind("G23 ", 0) == 0;
}

}  // namespace

std::unique_ptr<AliveCheck> Trainer::WatchAlive() const {
  return std::make_unique<AliveCheck>(parameters_, options_.guards.allow_dead,
                                      [this](const nn::NamedParameter& parameter) {
                                        return optimizer_->mask() != nullptr && optimizer_->mask()->MayRest(parameter);
                                      });
}

absl::Status Trainer::BeginGuards() {
  first_update_ = optimizer_->steps();
  if (first_update_ < AliveCheck::kUpdates) alive_ = WatchAlive();
  guards_.reset();  // it gives the optimiser its own mask back
  guards_ = std::make_unique<StepGuards>(
      LoopGuardContext{options_.guards, parameters_, *optimizer_, result_.steps, planned_steps()},
      [this](const Warning& warning) { return Warn(warning); });
  if (options_.guards.rollback && checkpointer_ != nullptr && checkpointer_->store().List().empty())
    return checkpointer_->Save(result_.steps);
  return absl::OkStatus();
}

absl::StatusOr<bool> Trainer::CheckDivergence(const GradientPass& pass, double grad_norm,
                                              const std::vector<data::Batch>& batches) {
  const GuardOptions& guards = options_.guards;
  const int64_t step = result_.steps + 1;
  const std::string when = absl::StrFormat("at update %d", step);
  if (const std::string cause = NonfiniteCause(when, pass.value, pass.terms, grad_norm, parameters_); !cause.empty()) {
    std::string message = "G23 nonfinite: " + cause;
    if (!dumps_.empty() && nonfinite_in_a_row_ == 0) {
      const auto written = DumpUpdate(dumps_, step, cause, batches, parameters_, *optimizer_);
      message += written.ok() ? "; batch and state are in " + *written : "; no dump: " + MessageOf(written.status());
    }
    if (++nonfinite_in_a_row_ <= guards.nonfinite_skip) {
      if (nonfinite_in_a_row_ == 1)
        LANTHORN_RETURN_IF_ERROR(Warn(Warning{message + "; the update is skipped", step, pass.value, {}}));
      return true;
    }
    if (guards.nonfinite_skip > 0)
      absl::StrAppendFormat(&message, "; the last %d were skipped already (guards.nonfinite=skip:%d)",
                            guards.nonfinite_skip, guards.nonfinite_skip);
    return NumericsError(message + "; try a smaller learning rate or optim.clip_norm=1");
  }
  nonfinite_in_a_row_ = 0;
  if (!result_.first_loss) result_.first_loss = pass.value;
  // A text that is met for the first time may be further from what was learnt than the first one was from nothing.
  const auto domain = static_cast<size_t>(std::max<int64_t>(0, batches.front().domain));
  if (result_.domain_losses.size() <= domain) result_.domain_losses.resize(domain + 1, 0.0);
  if (result_.domain_losses[domain] == 0) result_.domain_losses[domain] = pass.value;
  const double reference = std::max(*result_.first_loss, result_.domain_losses[domain]);
  constexpr int64_t kWarmUp = 5;
  const auto spike =
      LossSpike(step, pass.value, reference, guards.spike_ratio, std::max(kWarmUp, options_.schedule.warmup));
  if (spike) return NumericsError(*spike);
  return false;
}

absl::StatusOr<Restored> Trainer::LoadEarlier(const std::string& name) {
  Restored restored;
  restored.checkpoint = name;
  LANTHORN_RETURN_IF_ERROR(LoadChecked(checkpointer_->store(), &restored).status());
  model_->ZeroGrad();
  model_->Train(true);
  stop_point_.reset();
  nonfinite_in_a_row_ = 0;
  timer_.Interrupted();
  first_update_ = std::min(first_update_, optimizer_->steps());
  if (alive_ != nullptr) alive_ = WatchAlive();
  return restored;
}

absl::StatusOr<Restored> Trainer::GoBack(const std::string& name) {
  if (checkpointer_ == nullptr)
    return ConfigError("this training makes no checkpoints, so there is none to go back to");
  LANTHORN_RETURN_IF_ERROR(CheckIdle());
  LANTHORN_RETURN_IF_ERROR(checkpointer_->WriteHeld());
  LANTHORN_ASSIGN_OR_RETURN(const CheckpointContent kept, SnapshotApart());
  absl::StatusOr<Restored> restored = LoadEarlier(name);
  if (!restored.ok()) {
    LANTHORN_RETURN_IF_ERROR(Load(kept));  // half of the other may be loaded
    return restored.status();
  }
  LANTHORN_RETURN_IF_ERROR(checkpointer_->SaveAnew(result_.steps));
  return restored;
}

absl::Status Trainer::SaveNow() {
  if (checkpointer_ == nullptr) return ConfigError("this training makes no checkpoints");
  return checkpointer_->SaveAnew(result_.steps);  // one of the same update may be from before a change
}

absl::Status Trainer::RollBack(const absl::Status& status) {
  const GuardOptions& guards = options_.guards;
  if (!guards.rollback || checkpointer_ == nullptr || !IsDivergence(status)) return status;
  Rollback rollback;
  rollback.reason = MessageOf(status);
  rollback.from_step = result_.steps + 1;
  rollback.attempt = result_.rollbacks + 1;
  rollback.of = guards.rollback_tries;
  if (rollback.attempt > guards.rollback_tries) {
    return NumericsError(absl::StrFormat("%s; %d of %d rollbacks are used up (train.rollback_tries)", rollback.reason,
                                         result_.rollbacks, guards.rollback_tries));
  }
  const double factor = result_.lr_factor * guards.rollback_factor;
  // What people have changed since the checkpoint stays as they want it.
  const nlohmann::json tuned = tuned_;
  std::vector<std::pair<optim::Options, double>> settings;
  for (const optim::Group& group : optimizer_->groups())
    settings.emplace_back(group.options, group.base_lr * guards.rollback_factor);
  LANTHORN_RETURN_IF_ERROR(checkpointer_->WriteHeld());
  absl::StatusOr<Restored> restored = LoadEarlier("");
  if (!restored.ok()) return NumericsError(rollback.reason + "; no rollback: " + MessageOf(restored.status()));
  LANTHORN_RETURN_IF_ERROR(ApplyTuning(tuned));
  for (size_t i = 0; i < settings.size(); ++i)
    std::tie(optimizer_->groups()[i].options, optimizer_->groups()[i].base_lr) = settings[i];
  result_.rollbacks = rollback.attempt;
  result_.lr_factor = rollback.lr_factor = factor;
  rollback.step = restored->step;
  rollback.extra = std::move(restored->extra);
  LANTHORN_RETURN_IF_ERROR(
      Warn(Warning{absl::StrFormat("%s; back to update %d with %g times the original learning rate (rollback %d of %d)",
                                   rollback.reason, rollback.step, factor, rollback.attempt, rollback.of),
                   rollback.from_step,
                   {},
                   {}}));
  for (const auto& observer : observers_) LANTHORN_RETURN_IF_ERROR(observer->OnRollback(rollback));
  // A run that dies before the next save keeps the smaller steps.
  return checkpointer_->SaveAnew(result_.steps);
}

}  // namespace lanthorn::train
