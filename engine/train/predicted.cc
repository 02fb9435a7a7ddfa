// Steps of a training that predicts some of its updates: what becomes of one without a backward.
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "engine/train/eval/eval_scope.h"
#include "engine/train/fetch.h"
#include "engine/train/report/phase_clock.h"
#include "engine/train/state/random_state.h"
#include "engine/train/tell.h"
#include "engine/train/trainer.h"
#include "engine/tscore/recorder.h"

namespace lanthorn::train {

absl::StatusOr<double> Trainer::ForwardLoss(const data::Batch& batch) const {
  const tscore::Recorder::Pause no_recorder;
  const at::NoGradGuard no_grad;
  LANTHORN_ASSIGN_OR_RETURN(const Loss loss, loss_(batch));
  return loss.mean.item<double>();
}

absl::Status Trainer::SetHybrid(const HybridOptions& options) {
  if (optimizer_->mask() != nullptr)
    return ConfigError("hybrid: updates of selected parts cannot be predicted; leave out `select`");
  const bool has_val = val_ != nullptr && val_->count() > 0;
  PhaseSeconds unused{};
  const data::Batch probe = Fetch(has_val ? *val_ : *train_, 0, options_.device, &unused);
  LANTHORN_ASSIGN_OR_RETURN(hybrid_, Hybrid::Make(options, parameters_, optimizer_, [this, probe] {
                              const RandomState random;
                              const EvalScope eval(*model_);
                              return ForwardLoss(probe);
                            }));
  return absl::OkStatus();
}

absl::Status Trainer::PredictedStep(double begin, StepRecord* record, Control* control) {
  record->backward = false;
  record->forward = hybrid_->forward_alone();
  record->micro_batches = std::min(options_.train.accumulate, train_->count() - result_.batch);
  std::optional<double> loss;
  if (record->forward) {
    double sum = 0;
    for (const data::Batch& batch :
         FetchUpdate(*train_, result_.batch, record->micro_batches, options_.device, &record->phases)) {
      const PhaseClock clock(&record->phases, Phase::kForward);
      LANTHORN_ASSIGN_OR_RETURN(const double own, ForwardLoss(batch));
      sum += own / static_cast<double>(record->micro_batches);
      result_.tokens_forward += batch.y.numel();
    }
    record->loss = *(loss = sum);
  }
  ++result_.steps;
  record->batch = result_.batch += record->micro_batches;
  record->lr = optimizer_->lr();
  record->skipped_total = result_.skipped;
  record->tokens_total = result_.tokens;
  record->tokens_forward_total = result_.tokens_forward;
  {
    const PhaseClock clock(&record->phases, Phase::kPredict);
    LANTHORN_RETURN_IF_ERROR(hybrid_->After(loss, std::nullopt, &*record->hybrid));
  }
  CloseTimes(begin, record);
  result_.sums.seconds += record->seconds;
  last_ = *record;
  return Tell(observers_, &between_,
              [record, control](Observer& observer) { return observer.OnStep(*record, control); });
}

}  // namespace lanthorn::train
