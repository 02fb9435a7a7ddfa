// Updates for a try: what they would give, with model, optimiser and random numbers put back afterwards. A learning
// rate range test and the overfitting of one batch are such tries.
#include <cmath>
#include <limits>

#include "absl/cleanup/cleanup.h"
#include "engine/train/eval/eval_scope.h"
#include "engine/train/fetch.h"
#include "engine/train/signals.h"
#include "engine/train/trainer.h"

namespace lanthorn::train {

absl::StatusOr<std::vector<double>> Trainer::Rehearse(const Rehearsal& plan) {
  const SignalScope signals;
  const Stretch pausable;
  const bool paused = paused_;
  LANTHORN_ASSIGN_OR_RETURN(const CheckpointContent kept, SnapshotApart());
  if (!training_) stretch_ = &pausable;
  paused_ = false;
  const absl::Cleanup leave = [&] {
    if (!training_) stretch_ = nullptr;
    paused_ = paused;
    model_->ZeroGrad();
  };
  std::vector<double> losses;
  absl::Status status;
  try {
    status = RehearseAll(plan, &losses);
  } catch (const std::exception&) {  // of the data, or of a tensor operator
    LANTHORN_RETURN_IF_ERROR(Load(kept));
    throw;
  }
  LANTHORN_RETURN_IF_ERROR(Load(kept));
  LANTHORN_RETURN_IF_ERROR(status);
  return losses;
}

absl::Status Trainer::RehearseAll(const Rehearsal& plan, std::vector<double>* losses) {
  BeginTraining(*model_);
  train_->SetEpoch(result_.epoch - 1);
  const int64_t all = train_->count(), first = result_.batch >= all ? 0 : result_.batch;
  for (int64_t i = 0; i < plan.updates; ++i) {
    const int64_t batch = plan.one_batch ? first : (first + i * options_.train.accumulate) % all;
    const double factor = plan.factor ? plan.factor(i) : options_.schedule.Factor(result_.steps + i);
    LANTHORN_ASSIGN_OR_RETURN(const double loss, RehearseUpdate(batch, factor));
    losses->push_back(loss);
    if (Interrupted() || paused_ || !std::isfinite(loss)) break;
    if (plan.keep_on && !plan.keep_on(loss, i)) break;
    for (const auto& observer : observers_) observer->OnPart(i + 1, plan.updates);
  }
  return absl::OkStatus();
}

absl::StatusOr<double> Trainer::RehearseUpdate(int64_t batch, double factor) {
  PhaseSeconds unused{};
  const std::vector<data::Batch> batches =
      FetchUpdate(*train_, batch, options_.train.accumulate, options_.device, &unused);
  LANTHORN_ASSIGN_OR_RETURN(const GradientPass pass, PassOver(batches, Gradients::TScore::kOff, &unused));
  if (pass.targets == 0 || !std::isfinite(pass.value)) return std::numeric_limits<double>::quiet_NaN();
  const double scale = ClipGradients(std::nullopt);
  std::vector<int64_t> domains;
  for (const data::Batch& one : batches) domains.push_back(one.domain);
  optimizer_->SetLrFactor(factor);
  optimizer_->Step(scale, domains);
  return pass.value;
}

}  // namespace lanthorn::train
