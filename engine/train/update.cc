// The parts of one update: its gradients judged and clipped, the weights moved, what it did counted.
#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/train/guards/alive_check.h"
#include "engine/train/guards/step_guards.h"
#include "engine/train/report/phase_clock.h"
#include "engine/train/tell.h"
#include "engine/train/trainer.h"

namespace lanthorn::train {

StepRecord Trainer::BeginRecord() {
  StepRecord record;
  record.between = std::exchange(between_, {});
  record.step = result_.steps + 1;
  record.steps = planned_steps();
  record.epoch = result_.epoch;
  record.batches = train_->count();
  return record;
}

Gradients::TScore Trainer::WantedScore() const {
  const int64_t every = options_.tscore.every;
  if (every == 0 || result_.steps % every != 0) return Gradients::TScore::kOff;
  const bool first = result_.tscore.counted + result_.tscore.skipped == 0;
  return first ? Gradients::TScore::kVerified : Gradients::TScore::kOn;
}

absl::StatusOr<GradientPass> Trainer::PassOver(const std::vector<data::Batch>& batches, Gradients::TScore tscore,
                                               PhaseSeconds* phases) {
  model_->ZeroGrad();
  LANTHORN_ASSIGN_OR_RETURN(GradientPass pass, gradients_.Of(batches, tscore, phases));
  if (penalty_ == nullptr || !penalty_->active() || pass.targets == 0) return pass;
  const PhaseClock clock(phases, Phase::kBackward);
  LANTHORN_ASSIGN_OR_RETURN(const double value, penalty_->AddGradient(parameters_));
  AddTerms({{penalty_->name(), value}}, 1, &pass.terms);
  pass.penalized = true;
  return pass;
}

// T-Score is of the batch as it was met; loss and gradients are those of the changed weights.
absl::StatusOr<double> Trainer::PassAgain(const std::vector<data::Batch>& batches, GradientPass* pass,
                                          StepRecord* record) {
  std::optional<tscore::Score> score = std::move(pass->score);
  LANTHORN_ASSIGN_OR_RETURN(*pass, PassOver(batches, Gradients::TScore::kOff, &record->phases));
  record->again = true;
  LANTHORN_ASSIGN_OR_RETURN(const double scale, CheckAndClip(*pass, batches, record));
  record->score = pass->score = std::move(score);
  return scale;
}

absl::StatusOr<Verdict> Trainer::AskBeforeUpdate(StepRecord* record) {
  Verdict verdict = Verdict::kMove;
  LANTHORN_RETURN_IF_ERROR(Tell(observers_, &record->phases, [&](Observer& observer) {
    Verdict own = Verdict::kMove;
    LANTHORN_RETURN_IF_ERROR(observer.BeforeUpdate(*record, &own));
    verdict = std::max(verdict, own);
    return absl::OkStatus();
  }));
  if (verdict == Verdict::kAgain && record->again)
    return Error(ExitCode::kScript, "a callback asked for the gradients of one update again, twice");
  return verdict;
}

absl::StatusOr<double> Trainer::CheckAndClip(const GradientPass& pass, const std::vector<data::Batch>& batches,
                                             StepRecord* record) {
  record->micro_batches = static_cast<int64_t>(batches.size());
  record->batch = result_.batch + record->micro_batches;
  record->domain = batches.front().domain;
  record->loss = pass.value;
  record->terms = pass.terms;
  record->score = pass.score;
  record->empty = record->skipped = pass.targets == 0;
  if (record->empty) return 1.0;
  {
    const PhaseClock clock(&record->phases, Phase::kClip);
    // T-Score in the backward has S = || gradient ||^2 already; by N backwards S is that of the samples' own losses.
    const bool known = pass.score && !options_.tscore.loop() && !pass.penalized;
    record->grad_norm = known ? std::sqrt(pass.score->s) : optim::GradientNorm(parameters_);
  }
  {
    const PhaseClock clock(&record->phases, Phase::kGuards);
    LANTHORN_ASSIGN_OR_RETURN(record->skipped, CheckDivergence(pass, record->grad_norm, batches));
  }
  const PhaseClock clock(&record->phases, Phase::kClip);
  return ClipGradients(record->grad_norm);
}

double Trainer::ClipGradients(std::optional<double> norm) {
  const ClipSection& clip = options_.clip;
  if (clip.clip_value > 0) optim::ClipValue(parameters_, clip.clip_value);
  if (clip.clip_each > 0) optim::ClipEach(parameters_, clip.clip_each);
  if (clip.clip_norm == 0) return 1;
  if (clip.clip_value > 0 || clip.clip_each > 0 || !norm) norm = optim::GradientNorm(parameters_);
  return optim::ClipScale(clip.clip_norm, *norm);
}

void Trainer::MoveWeights(double scale, const std::vector<data::Batch>& batches, StepRecord* record) {
  optimizer_->SetLrFactor(options_.schedule.Factor(result_.steps));
  record->lr = optimizer_->lr();
  if (record->skipped) return;
  const PhaseClock clock(&record->phases, Phase::kOptimizer);
  std::vector<int64_t> domains;
  for (const data::Batch& batch : batches) domains.push_back(batch.domain);
  guards_->BeforeUpdate(record->step);
  optimizer_->Step(scale, domains);
}

absl::Status Trainer::Count(const GradientPass& pass, const std::vector<data::Batch>& batches, StepRecord* record) {
  ++result_.steps;
  if (record->skipped) ++result_.skipped;
  if (pass.penalized) penalty_->CountUpdate();
  if (pass.empty > 0) {
    if (result_.empty == 0) LANTHORN_RETURN_IF_ERROR(WarnOfEmpty(pass.empty, *record));
    result_.empty += pass.empty;
    result_.sums.empty += pass.empty;
  }
  record->skipped_total = result_.skipped;
  record->batch = result_.batch += record->micro_batches;
  // Counted from the tensors that went through the forward, never from configured sizes (guard G17).
  record->tokens = record->skipped ? 0 : pass.targets;
  record->tokens_total = result_.tokens += record->tokens;
  for (const data::Batch& batch : batches) {
    result_.tokens_forward += batch.y.numel() * (record->again ? 2 : 1);
    if (!record->skipped) record->samples += batch.x.size(0);
  }
  result_.samples += record->samples;
  record->tokens_forward_total = result_.tokens_forward;
  return absl::OkStatus();
}

// The first time only; the summary counts them all.
absl::Status Trainer::WarnOfEmpty(int64_t batches, const StepRecord& record) {
  return Warn(absl::StrFormat(
      "G21 batch_shape: %d of the %d batches of update %d %s no target; nothing is learnt from such batches%s", batches,
      record.micro_batches, record.step, batches == 1 ? "has" : "have",
      record.empty ? ", and the update is skipped" : ""));
}

absl::Status Trainer::CheckAlive(StepRecord* record) {
  if (alive_ == nullptr || record->skipped) return absl::OkStatus();
  const PhaseClock clock(&record->phases, Phase::kGuards);
  const int64_t own_steps = optimizer_->steps() - first_update_;
  LANTHORN_RETURN_IF_ERROR(alive_->AfterUpdate(own_steps, record->step == record->steps));
  if (own_steps == 1) LANTHORN_RETURN_IF_ERROR(CheckDevices(parameters_, options_.device));
  if (alive_->done()) alive_.reset();
  return absl::OkStatus();
}

// One update is timed by itself; saves, evals and logs before it have timers of their own (guard G15).
void Trainer::CloseTimes(double begin, StepRecord* record) {
  const double now = Now();
  record->seconds = now - begin;
  record->wall_seconds = now - last_record_s_;
  SecondsOf(record->phases, Phase::kOther) = record->seconds - Sum(record->phases);
  SecondsOf(record->between, Phase::kOther) = begin - last_record_s_ - Sum(record->between);
  last_record_s_ = now;
  if (record->backward) timer_.Add(record->seconds);
  record->counted = record->backward && timer_.last_counted();
  if (record->counted) micro_.Add(MicroSeconds(*record));
  const double typical = timer_.Median().value_or(record->seconds);
  record->tokens_per_s = typical > 0 ? static_cast<double>(record->tokens) / typical : 0;
  record->samples_per_s = typical > 0 ? static_cast<double>(record->samples) / typical : 0;
  const int64_t evals_left = !options_.eval.off ? options_.train.epochs - record->epoch + 1 : 0;
  record->remaining =
      timer_.Remaining(record->steps - record->step, static_cast<double>(evals_left) * result_.eval_seconds);
}

void Trainer::TimeSteps() {
  result_.step_median_s = timer_.Median();
  result_.step_p10_s = timer_.Percentile(0.1);
  result_.step_p90_s = timer_.Percentile(0.9);
  result_.micro_median_s = micro_.Value();
}

void Trainer::AddToEpoch(const GradientPass& pass, const StepRecord& record) {
  EpochSums& sums = result_.sums;
  if (std::isfinite(pass.value)) {
    sums.loss_sum += pass.value * static_cast<double>(pass.targets);
    sums.loss_targets += pass.targets;
  }
  sums.seconds += record.seconds;
  sums.tokens += record.tokens;
  sums.samples += record.samples;
  if (!pass.score || record.skipped) return;
  sums.tscore.Add(pass.score->t);
  result_.tscore.Add(pass.score->t);
  sums.noise.Add(pass.score->noise);
  result_.noise.Add(pass.score->noise);
}

}  // namespace lanthorn::train
