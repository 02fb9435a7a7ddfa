// The end of an epoch, and the saves: the eval, the best epoch so far, the record that observers get.
#include <cmath>

#include "absl/strings/str_format.h"
#include "engine/train/report/phase_clock.h"
#include "engine/train/signals.h"
#include "engine/train/tell.h"
#include "engine/train/trainer.h"

namespace lanthorn::train {

absl::Status Trainer::FinishEpoch(Control* control) {
  const EpochSums& sums = result_.sums;
  if (sums.loss_targets == 0 && sums.empty > 0) {
    return DataError(absl::StrFormat(
        "epoch %d: none of its %d batches has a target (all are masked, or the loss function returned 0), so nothing "
        "was learnt",
        result_.epoch, sums.empty));
  }
  EpochRecord record;
  record.epoch = result_.epoch;
  record.epochs = options_.train.epochs;
  record.step = result_.steps;
  record.train_loss = sums.loss_targets > 0 ? sums.loss_sum / static_cast<double>(sums.loss_targets) : 0;
  record.seconds = sums.seconds;
  record.samples_per_s = sums.seconds > 0 ? static_cast<double>(sums.samples) / sums.seconds : 0;
  record.tokens_per_s = sums.seconds > 0 ? static_cast<double>(sums.tokens) / sums.seconds : 0;
  record.tscore = sums.tscore;
  record.noise = sums.noise;
  if (!options_.eval.off) {
    LANTHORN_RETURN_IF_ERROR(EvaluateEpoch(&record));
    if (result_.code != 0) return absl::OkStatus();  // half an eval is not a result
  }
  KeepBest(&record);
  result_.epochs.push_back(record);
  LANTHORN_RETURN_IF_ERROR(Tell(observers_, &between_,
                                [&record, control](Observer& observer) { return observer.OnEpoch(record, control); }));
  timer_.Interrupted();
  return absl::OkStatus();
}

absl::Status Trainer::EvaluateEpoch(EpochRecord* record) {
  Announce("eval");
  LANTHORN_ASSIGN_OR_RETURN(const EvalRecord eval, Evaluate([this] { return Interrupted(); }));
  SecondsOf(between_, Phase::kEval) += eval.seconds;
  if (result_.code != 0) return absl::OkStatus();
  if (eval.targets == 0 && eval.batches > 0) {
    return DataError(
        absl::StrFormat("val: none of the %d batches has a target, so there is no val loss after update %d",
                        eval.batches, result_.steps));
  }
  if (eval.loss && !std::isfinite(*eval.loss))
    return NumericsError(absl::StrFormat("G23 nonfinite: the val loss is not finite after update %d", result_.steps));
  record->val_loss = eval.loss;
  record->metrics = eval.metrics;
  record->eval_seconds = result_.eval_seconds = eval.seconds;
  return Tell(observers_, &between_, [&](Observer& observer) { return observer.OnEval(eval, result_.steps); });
}

void Trainer::KeepBest(EpochRecord* record) {
  const auto score = [this](const EpochRecord& one) {
    return options_.eval.off ? std::optional(one.train_loss) : one.val_loss;
  };
  const std::optional<double> now = score(*record), best = result_.best ? score(*result_.best) : std::nullopt;
  if (!now || (best && !(*now < *best))) return;
  record->best = true;
  result_.best = *record;
}

// A save within an epoch, where one is due.
absl::Status Trainer::SaveWithin(Control* control) {
  if (checkpointer_ == nullptr || control->stop) return absl::OkStatus();
  // The ends of epochs are saved behind their eval.
  if (result_.batch >= train_->count() || result_.steps >= planned_steps()) return absl::OkStatus();
  if (!TakeSaveRequest() && !checkpointer_->IsDue(result_.steps)) return absl::OkStatus();
  Announce("save");
  {
    const PhaseClock clock(&between_, Phase::kSave);
    LANTHORN_RETURN_IF_ERROR(checkpointer_->Save(result_.steps));
  }
  timer_.Interrupted();
  Announce("train");
  return absl::OkStatus();
}

absl::Status Trainer::SaveEpoch() {
  if (checkpointer_ == nullptr) return absl::OkStatus();
  Announce("save");
  const PhaseClock clock(&between_, Phase::kSave);
  const EpochRecord& record = result_.epochs.back();
  LANTHORN_RETURN_IF_ERROR(checkpointer_->AtEpochEnd(record.epoch, record.step, record.best));
  return TakeSaveRequest() ? checkpointer_->Save(result_.steps) : absl::OkStatus();
}

}  // namespace lanthorn::train
