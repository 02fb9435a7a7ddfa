// One update: data, forward, backward (with T-Score), clip, step.
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/nn/buffers_aside.h"
#include "engine/train/guards/alive_check.h"
#include "engine/train/guards/step_guards.h"
#include "engine/train/report/phase_clock.h"
#include "engine/train/state/random_state.h"
#include "engine/train/trainer.h"
#include "engine/tscore/loop.h"
#include "engine/tscore/recorder.h"
#include "engine/tscore/tally.h"

namespace lanthorn::train {
namespace {

// The forward is over at the end of its life, by an exception too.
class CloseRecorder {
 public:
  explicit CloseRecorder(tscore::Recorder::Ptr recorder) : recorder_(std::move(recorder)) {}
  ~CloseRecorder() {
    if (recorder_ != nullptr) recorder_->Close();
  }

 private:
  tscore::Recorder::Ptr recorder_;
};

}  // namespace

absl::StatusOr<Loss> Trainer::CheckedLoss(const data::Batch& batch) {
  LANTHORN_ASSIGN_OR_RETURN(Loss loss, loss_(batch));
  if (!loss.mean.defined() || loss.mean.numel() != 1)
    return Error(ExitCode::kScript, "train: the loss must be a tensor of one element");
  if (loss.targets > 0 && !loss.mean.requires_grad())
    return NumericsError("train: the loss does not depend on any trainable parameter");
  if (loss.mean.device() != options_.device) {
    return MachineError("G01 device: the loss is on " + loss.mean.device().str() + ", training is on " +
                        options_.device.str());
  }
  return loss;
}

absl::StatusOr<Trainer::Pass> Trainer::ForwardBackward(const std::vector<data::Batch>& batches, bool with_score,
                                                       bool verify, PhaseSeconds* phases) {
  Pass pass;
  tscore::Tally tally(options_.tscore_groups);
  const bool record = with_score && !options_.tscore.loop(), single = batches.size() == 1;
  // Batch j counts with the share of its targets. How many there are in all is known at the end only: the gradients are
  // made for batches as large as the first, and put right where that was wrong.
  double assumed = 0, summed = 0;
  for (const data::Batch& batch : batches) {
    tscore::Recorder::Ptr recorder;
    Loss loss;
    {
      const PhaseClock clock(phases, Phase::kForward);
      if (record) recorder = tally.Open(parameters_, batch.x.size(0));
      const CloseRecorder close(recorder);
      LANTHORN_ASSIGN_OR_RETURN(loss, CheckedLoss(batch));
      if (loss.targets == 0) {
        ++pass.empty;
        if (record) tally.AddWithoutTargets(batch.x.size(0));
        continue;
      }
      const double value = loss.mean.item<double>(), targets = static_cast<double>(loss.targets);
      if (assumed == 0) assumed = targets * static_cast<double>(batches.size());
      if (!single) loss.mean = loss.mean * (targets / assumed);
      LANTHORN_ASSIGN_OR_RETURN(const TermValues terms, ReadTerms(loss.terms));
      AddTerms(terms, single ? 1 : targets, &pass.terms);
      summed += single ? value : value * targets;
    }
    {
      const PhaseClock clock(phases, Phase::kBackward);
      loss.mean.backward();
    }
    if (record) {
      const PhaseClock clock(phases, Phase::kTScore);
      LANTHORN_RETURN_IF_ERROR(tally.Add(recorder.get(), parameters_, verify));
    }
    pass.targets += loss.targets;
  }  // the graph ends with its batch
  if (pass.targets == 0) {
    pass.value = std::numeric_limits<double>::quiet_NaN();
    return pass;
  }
  if (!single) {
    for (auto& [name, value] : pass.terms) value /= static_cast<double>(pass.targets);
  }
  pass.value = single ? summed : summed / static_cast<double>(pass.targets);
  if (const double factor = assumed / static_cast<double>(pass.targets); !single && factor != 1) {
    const at::NoGradGuard no_grad;
    for (const auto& parameter : parameters_) {
      if (parameter.tensor.grad().defined()) parameter.tensor.mutable_grad().mul_(factor);
    }
    tally.Scale(factor);
  }
  if (!with_score) return pass;
  const PhaseClock clock(phases, Phase::kTScore);
  auto score = record ? tally.Finish(parameters_) : LoopScore(batches);
  if (!score.ok()) return score.status();
  pass.score = *std::move(score);
  if (options_.tscore.v11()) {
    // The published eps is absolute, and meant for gradients of the samples' own losses: N times their shares of the
    // mean.
    const double scale = options_.tscore.loop() ? 1 : static_cast<double>(pass.score->n * pass.score->n);
    pass.score->t = tscore::ComputeV11(scale * pass.score->s, scale * pass.score->q, pass.score->n);
    pass.score->status = "v1.1";
  }
  return pass;
}

// N forward and backward passes of one sample each; the training gradients, buffers and random state are put back.
absl::StatusOr<tscore::Score> Trainer::LoopScore(const std::vector<data::Batch>& batches) {
  const RandomState random;
  const nn::BuffersAside buffers(*model_);
  std::vector<std::pair<const data::Batch*, int64_t>> samples;
  for (const data::Batch& batch : batches) {
    for (int64_t row = 0; row < batch.x.size(0); ++row) samples.emplace_back(&batch, row);
  }
  const auto loss = [&](int64_t i) -> absl::StatusOr<tscore::WeightedLoss> {
    const auto& [batch, row] = samples[static_cast<size_t>(i)];
    LANTHORN_ASSIGN_OR_RETURN(const Loss one, loss_({batch->x.narrow(0, row, 1), batch->y.narrow(0, row, 1)}));
    return tscore::WeightedLoss{one.mean, static_cast<double>(one.targets)};
  };
  return tscore::LoopScore(parameters_, static_cast<int64_t>(samples.size()), loss, options_.tscore_groups);
}

// The first time only; the summary counts them all.
absl::Status Trainer::WarnOfEmpty(int64_t batches, const StepRecord& record) {
  return Warn(
      absl::StrFormat(
          "G21 batch_shape: %d of the %d batches of update %d %s no target; nothing is learnt from such batches%s",
          batches, record.micro_batches, record.step, batches == 1 ? "has" : "have",
          record.empty ? ", and the update is skipped" : ""),
      std::nullopt, std::nullopt);
}

absl::Status Trainer::TrainStep(Control* control) {
  const double begin = Now();
  const int64_t epoch = result_.epoch, index = result_.batch;
  const HostReadScope reads(HostReadMeans::Wants(optimizer_->steps() - first_update_ + 1));
  StepRecord record;
  std::vector<data::Batch> batches;
  record.between = std::exchange(between_, {});
  LANTHORN_ASSIGN_OR_RETURN(batches, FetchUpdate(index, &record.phases));
  record.micro_batches = static_cast<int64_t>(batches.size());
  model_->ZeroGrad();
  const bool with_score = options_.tscore.every > 0 && result_.steps % options_.tscore.every == 0;
  const bool first_score = with_score && result_.tscore.counted + result_.tscore.skipped == 0;
  LANTHORN_ASSIGN_OR_RETURN(const Pass pass,
                            ForwardBackward(batches, with_score, /*verify=*/first_score, &record.phases));
  record.step = result_.steps + 1;
  record.steps = planned_steps();
  record.epoch = epoch;
  record.loss = pass.value;
  record.terms = pass.terms;
  record.empty = record.skipped = pass.targets == 0;
  double scale = 1;
  if (!record.empty) {
    const PhaseClock clock(&record.phases, Phase::kClip);
    // T-Score in the backward has S = || gradient ||^2 already; by N backwards S is that of the samples' own losses.
    record.grad_norm =
        pass.score && !options_.tscore.loop() ? std::sqrt(pass.score->s) : optim::GradientNorm(parameters_);
  }
  if (!record.empty) {
    const PhaseClock clock(&record.phases, Phase::kGuards);
    LANTHORN_ASSIGN_OR_RETURN(record.skipped, CheckDivergence(pass, record.grad_norm, batches));
  }
  if (!record.empty) {
    const PhaseClock clock(&record.phases, Phase::kClip);
    if (options_.clip.clip_value > 0) optim::ClipValue(parameters_, options_.clip.clip_value);
    if (options_.clip.clip_norm > 0)
      scale = optim::ClipScale(options_.clip.clip_norm,
                               options_.clip.clip_value > 0 ? optim::GradientNorm(parameters_) : record.grad_norm);
  }
  for (const auto& observer : observers_) {
    const PhaseClock clock(&record.phases, observer->phase());
    LANTHORN_RETURN_IF_ERROR(observer->BeforeUpdate(record, &record.skipped));
  }
  HostReads optimizer_reads;
  optimizer_->SetLrFactor(options_.schedule.Factor(result_.steps));
  if (!record.skipped) {
    const PhaseClock clock(&record.phases, Phase::kOptimizer);
    std::vector<int64_t> domains;
    for (const data::Batch& batch : batches) domains.push_back(batch.domain);
    optimizer_->SetDomains(domains);
    optimizer_->WatchResting(guards_->WatchesResting(record.step));
    const HostReads before = reads.Count();
    optimizer_->Step(scale);
    optimizer_reads = reads.Count() - before;
  }
  ++result_.steps;
  if (record.skipped) ++result_.skipped;
  if (pass.empty > 0) {
    if (result_.empty == 0) LANTHORN_RETURN_IF_ERROR(WarnOfEmpty(pass.empty, record));
    result_.empty += pass.empty;
    result_.sums.empty += pass.empty;
  }
  record.skipped_total = result_.skipped;
  if (alive_ != nullptr && !record.skipped) {
    const PhaseClock clock(&record.phases, Phase::kGuards);
    const int64_t own_steps = optimizer_->steps() - first_update_;
    LANTHORN_RETURN_IF_ERROR(alive_->AfterUpdate(own_steps, record.step == record.steps));
    if (own_steps == 1) LANTHORN_RETURN_IF_ERROR(CheckDevices(parameters_, options_.device));
    if (alive_->done()) alive_.reset();
  }
  if (reads.active()) result_.reads.Add(reads.Count(), optimizer_reads);
  CloseTimes(begin, &record);
  record.batch = result_.batch = index + record.micro_batches;
  record.batches = train_->count();
  record.lr = optimizer_->lr();
  // Counted from the tensors that went through the forward, never from configured sizes (guard G17).
  record.tokens = record.skipped ? 0 : pass.targets;
  record.tokens_total = result_.tokens += record.tokens;
  for (const data::Batch& batch : batches) {
    result_.tokens_forward += batch.y.numel();
    if (!record.skipped) record.samples += batch.x.size(0);
  }
  result_.samples += record.samples;
  record.tokens_forward_total = result_.tokens_forward;
  record.score = pass.score;
  const double typical = timer_.Median().value_or(record.seconds);
  record.tokens_per_s = typical > 0 ? static_cast<double>(record.tokens) / typical : 0;
  record.samples_per_s = typical > 0 ? static_cast<double>(record.samples) / typical : 0;
  const int64_t evals_left = !options_.eval.off ? options_.train.epochs - epoch + 1 : 0;
  record.remaining =
      timer_.Remaining(record.steps - record.step, static_cast<double>(evals_left) * result_.eval_seconds);
  EpochSums& sums = result_.sums;
  if (std::isfinite(pass.value)) {
    sums.loss_sum += pass.value * static_cast<double>(pass.targets);
    sums.loss_targets += pass.targets;
  }
  sums.seconds += record.seconds;
  sums.tokens += record.tokens;
  sums.samples += record.samples;
  if (pass.score && !record.skipped) {
    sums.tscore.Add(pass.score->t);
    result_.tscore.Add(pass.score->t);
    sums.noise.Add(pass.score->noise);
    result_.noise.Add(pass.score->noise);
  }
  if (!record.empty) {
    const PhaseClock clock(&between_, Phase::kGuards);
    LANTHORN_RETURN_IF_ERROR(guards_->AfterUpdate(record));
  }
  for (const auto& observer : observers_) {
    const PhaseClock clock(&between_, observer->phase());
    LANTHORN_RETURN_IF_ERROR(observer->OnStep(record, control));
  }
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
  timer_.Add(record->seconds);
  record->counted = timer_.last_counted();
  if (record->counted) micro_.Add(MicroSeconds(*record));
}

}  // namespace lanthorn::train
