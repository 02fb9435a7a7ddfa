// The loop of a training, from the outside in: epochs, updates, one update. What an update's parts do is in update.cc,
// what happens at the end of an epoch in epoch_end.cc.
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_format.h"
#include "engine/train/eval/eval_scope.h"
#include "engine/train/fetch.h"
#include "engine/train/guards/alive_check.h"
#include "engine/train/guards/step_guards.h"
#include "engine/train/report/phase_clock.h"
#include "engine/train/signals.h"
#include "engine/train/tell.h"
#include "engine/train/trainer.h"

namespace lanthorn::train {

absl::StatusOr<FitResult> Trainer::Run() {
  const SignalScope signals;
  LANTHORN_RETURN_IF_ERROR(Begin());
  LANTHORN_RETURN_IF_ERROR(TrainUntil(nullptr));
  return Finish();
}

absl::Status Trainer::Begin() {
  const SignalScope signals;      // those of a training before this one are not its own
  control_.stop = Interrupted();  // by now the time limit may be over
  return BeginGuards();
}

bool Trainer::done() const {
  // All updates may be done and only the end of the last epoch be left.
  const bool more = result_.steps < planned_steps() || result_.batch >= train_->count();
  return control_.stop || result_.code != 0 || result_.epoch > options_.train.epochs || !more;
}

absl::Status Trainer::CheckIdle() const {
  if (!training_) return absl::OkStatus();
  return Error(ExitCode::kScript, "the training is in the middle of an update; a callback ends it by returning 'stop'");
}

absl::Status Trainer::TrainUntil(const Stretch* stretch) {
  LANTHORN_RETURN_IF_ERROR(CheckIdle());
  const SignalScope signals;
  const double begin = Now();
  stretch_ = stretch;
  training_ = true;
  paused_ = false;
  const absl::Cleanup leave = [&] {  // also when data or a tensor operator throw
    stretch_ = nullptr;
    training_ = false;
    result_.seconds += Now() - begin;
    if (stretch != nullptr) Announce(kPausedPhase);
  };
  BeginTraining(*model_);
  last_record_s_ = begin;
  if (stretch != nullptr) timer_.Interrupted();
  absl::Status status;
  while (!done() && !paused_ && status.ok()) {
    status = RunEpoch(&control_);
    if (!status.ok()) status = RollBack(status);
  }
  return status;
}

absl::StatusOr<FitResult> Trainer::Finish() {
  LANTHORN_RETURN_IF_ERROR(CheckIdle());
  const SignalScope signals;
  alive_.reset();
  LANTHORN_RETURN_IF_ERROR(guards_->Finish(result_.steps));
  EndRun(control_);
  if (checkpointer_ != nullptr && result_.steps > 0) {
    Announce("save");
    const bool best_here = result_.best && result_.best->step == result_.steps;
    LANTHORN_RETURN_IF_ERROR(checkpointer_->AtEnd(result_.steps, best_here));
  }
  return result_;
}

absl::Status Trainer::RunEpoch(Control* control) {
  Announce("train");
  train_->SetEpoch(result_.epoch - 1);
  while (result_.batch < train_->count() && !control->stop && result_.steps < planned_steps()) {
    LANTHORN_RETURN_IF_ERROR(TrainStep(control));
    if (Interrupted()) control->stop = true;
    LANTHORN_RETURN_IF_ERROR(SaveWithin(control));
    if (PauseAfterUpdate()) return absl::OkStatus();
  }
  if (result_.code != 0) return absl::OkStatus();
  const bool whole = result_.batch >= train_->count();
  if (!whole && checkpointer_ != nullptr) {
    LANTHORN_ASSIGN_OR_RETURN(stop_point_, Snapshot());
  }
  LANTHORN_RETURN_IF_ERROR(FinishEpoch(control));
  if (result_.code != 0) return absl::OkStatus();  // a resumed training begins with the eval that was cut
  if (whole) {
    ++result_.epoch;
    result_.batch = 0;
    result_.sums = {};
    LANTHORN_RETURN_IF_ERROR(SaveEpoch());
  }
  if (result_.steps < planned_steps() && Interrupted()) control->stop = true;
  if (stretch_ != nullptr && stretch_->epochs > 0 && result_.epoch > stretch_->epochs) paused_ = true;
  if (stretch_ != nullptr && stretch_->updates > 0 && result_.steps >= stretch_->updates) paused_ = true;
  return absl::OkStatus();
}

// Never between the last update of an epoch and its eval.
bool Trainer::PauseAfterUpdate() {
  const bool at_end = result_.batch >= train_->count() || result_.steps >= planned_steps();
  if (stretch_ == nullptr || control_.stop || at_end) return false;
  if (stretch_->updates > 0 && result_.steps >= stretch_->updates) paused_ = true;
  return paused_;
}

absl::Status Trainer::TrainStep(Control* control) {
  const double begin = Now();
  const HostReadScope reads(HostReadMeans::Wants(optimizer_->steps() - first_update_ + 1));
  StepRecord record = BeginRecord();
  if (hybrid_ != nullptr) {
    const PhaseClock clock(&record.phases, Phase::kPredict);
    optimizer_->SetLrFactor(options_.schedule.Factor(result_.steps));
    LANTHORN_RETURN_IF_ERROR(hybrid_->Before(planned_steps() - result_.steps, &record.hybrid.emplace()));
  }
  if (hybrid_ != nullptr && !hybrid_->backward()) return PredictedStep(begin, &record, control);
  const std::vector<data::Batch> batches =
      FetchUpdate(*train_, result_.batch, options_.train.accumulate, options_.device, &record.phases);
  LANTHORN_ASSIGN_OR_RETURN(GradientPass pass, PassOver(batches, WantedScore(), &record.phases));
  LANTHORN_ASSIGN_OR_RETURN(double scale, CheckAndClip(pass, batches, &record));
  LANTHORN_ASSIGN_OR_RETURN(Verdict verdict, AskBeforeUpdate(&record));
  if (verdict == Verdict::kAgain) {
    LANTHORN_ASSIGN_OR_RETURN(scale, PassAgain(batches, &pass, &record));
    LANTHORN_ASSIGN_OR_RETURN(verdict, AskBeforeUpdate(&record));
  }
  record.skipped = record.skipped || verdict != Verdict::kMove;
  const HostReads before = reads.Count();
  MoveWeights(scale, batches, &record);
  const HostReads optimizer_reads = reads.Count() - before;
  LANTHORN_RETURN_IF_ERROR(Count(pass, batches, &record));
  LANTHORN_RETURN_IF_ERROR(CheckAlive(&record));
  if (hybrid_ != nullptr) {
    const PhaseClock clock(&record.phases, Phase::kPredict);
    const auto known = [&](double value) { return record.empty ? std::nullopt : std::optional(value); };
    LANTHORN_RETURN_IF_ERROR(hybrid_->After(known(pass.value), known(record.grad_norm), &*record.hybrid));
  }
  if (reads.active()) result_.reads.Add(reads.Count(), optimizer_reads);
  CloseTimes(begin, &record);
  AddToEpoch(pass, record);
  if (!record.empty) {
    const PhaseClock clock(&between_, Phase::kGuards);
    LANTHORN_RETURN_IF_ERROR(guards_->AfterUpdate(record));
  }
  last_ = record;
  return Tell(observers_, &between_,
              [&record, control](Observer& observer) { return observer.OnStep(record, control); });
}

void Trainer::EndRun(const Control& control) {
  const int64_t all = options_.train.epochs * epoch_steps();
  if (result_.code == 0 && control.stop) {
    result_.state = "STOPPED";
    result_.reason = control.reason;
  } else if (result_.code == 0 && result_.steps < all) {
    result_.state = "LIMIT";
    result_.reason = absl::StrFormat("max_steps: %d of %d updates", result_.steps, all);
  }
  TimeSteps();
}

}  // namespace lanthorn::train
