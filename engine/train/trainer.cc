// The loop: updates, then eval at each epoch's end, and saves where they are due.
#include "engine/train/trainer.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "absl/strings/str_format.h"
#include "engine/kernels/loss/linear_cross_entropy.h"
#include "engine/train/eval_scope.h"
#include "engine/train/guards/alive_check.h"
#include "engine/train/guards/step_guards.h"
#include "engine/train/losses.h"
#include "engine/train/metrics.h"
#include "engine/train/report/phase_clock.h"
#include "engine/train/signals.h"
#include "engine/tscore/recorder.h"

namespace lanthorn::train {
namespace {

// The loss in a precision; its backward keeps it.
LossFn InPrecision(const kernels::Precision& precision, LossFn loss) {
  return [precision, loss = std::move(loss)](const data::Batch& batch) {
    const kernels::PrecisionScope scope(precision);
    return loss(batch);
  };
}

}  // namespace

int64_t CountTargets(const at::Tensor& y) {
  if (!c10::isIntegralType(y.scalar_type(), /*includeBool=*/false)) return y.numel();
  return y.ne(kernels::kIgnoredTarget).sum().item<int64_t>();
}

Trainer::Trainer(std::shared_ptr<nn::Module> model, LossFn loss, std::shared_ptr<data::Batches> train,
                 std::shared_ptr<data::Batches> val, std::shared_ptr<optim::Optimizer> optimizer, FitOptions options)
    : model_(std::move(model)),
      loss_(InPrecision(options.precision, std::move(loss))),
      train_(std::move(train)),
      val_(std::move(val)),
      optimizer_(std::move(optimizer)),
      options_(std::move(options)),
      parameters_(model_->Parameters()) {
  if (options_.output == nullptr) {
    options_.output = [model = model_](const at::Tensor& x) -> absl::StatusOr<at::Tensor> {
      return model->Forward(x, nullptr);
    };
  }
  train_->SetEpoch(0);  // a training before this one may have left its last epoch in shared batches
}

Trainer::~Trainer() = default;

int64_t Trainer::epoch_steps() const { return options_.train.EpochUpdates(train_->count()); }

int64_t Trainer::planned_steps() const { return options_.train.Updates(train_->count()); }

void Trainer::Announce(const std::string& phase) {
  for (const auto& observer : observers_) observer->OnPhase(phase);
}

absl::Status Trainer::Warn(const std::string& message, std::optional<double> value, std::optional<double> limit) {
  return Warn(Warning{message, result_.steps, value, limit});
}

absl::Status Trainer::Warn(const Warning& warning) {
  for (const auto& observer : observers_) LANTHORN_RETURN_IF_ERROR(observer->OnWarning(warning));
  return absl::OkStatus();
}

absl::StatusOr<data::Batch> Trainer::Fetch(const data::Batches& batches, int64_t index, PhaseSeconds* phases) const {
  data::Batch batch;
  {
    const PhaseClock clock(phases, Phase::kData);
    batch = batches.Get(index);
  }
  if (options_.device.is_cpu()) return batch;
  const PhaseClock clock(phases, Phase::kTransfer);
  return data::Batch{batch.x.to(options_.device), batch.y.to(options_.device), batch.domain};
}

absl::StatusOr<std::vector<data::Batch>> Trainer::FetchUpdate(int64_t index, PhaseSeconds* phases) const {
  std::vector<data::Batch> batches;
  const int64_t end = std::min(index + options_.train.accumulate, train_->count());
  for (; index < end; ++index) {
    LANTHORN_ASSIGN_OR_RETURN(data::Batch batch, Fetch(*train_, index, phases));
    batches.push_back(std::move(batch));
  }
  return batches;
}

absl::StatusOr<EvalRecord> Trainer::Evaluate(const std::function<bool()>& stop) {
  return val_ != nullptr ? EvaluateOn(*val_, stop) : EvaluateOn(data::NoBatches(), stop);
}

absl::StatusOr<EvalRecord> Trainer::EvaluateOn(const data::Batches& batches, const std::function<bool()>& stop) {
  LANTHORN_ASSIGN_OR_RETURN(Metrics metrics, Metrics::Make(options_.eval.metrics));
  const EvalScope eval(*model_);
  const tscore::Recorder::Pause no_recorder;
  const at::NoGradGuard no_grad;
  const double begin = Now();
  EvalRecord record;
  record.of = batches.count();
  const int64_t wanted = options_.eval.val_cap > 0 ? std::min(options_.eval.val_cap, record.of) : record.of;
  double sum = 0;
  PhaseSeconds unused{};
  for (int64_t i = 0; i < wanted; ++i) {
    if (stop != nullptr && stop()) break;
    LANTHORN_ASSIGN_OR_RETURN(const data::Batch batch, Fetch(batches, i, &unused));
    LANTHORN_ASSIGN_OR_RETURN(const Loss loss, Measured(batch, &metrics));
    if (loss.targets > 0)
      sum += loss.mean.item<double>() * static_cast<double>(loss.targets);  // a mean over none is NaN
    record.targets += loss.targets;
    record.batches = i + 1;
    for (const auto& observer : observers_) observer->OnPart(record.batches, wanted);
  }
  if (record.targets > 0) record.loss = sum / static_cast<double>(record.targets);
  record.metrics = metrics.Values();
  record.seconds = Now() - begin;
  return record;
}

absl::StatusOr<Loss> Trainer::Measured(const data::Batch& batch, Metrics* metrics) {
  if (metrics->empty()) return loss_(batch);
  const kernels::PrecisionScope scope(options_.precision);
  LANTHORN_ASSIGN_OR_RETURN(const at::Tensor output, options_.output(batch.x));
  LANTHORN_RETURN_IF_ERROR(metrics->Add(output, batch.y));
  return options_.loss_name.empty() ? loss_(batch) : LossOfOutput(options_.loss_name, output, batch.y);
}

absl::StatusOr<std::vector<tscore::Score>> Trainer::ProbeTScore(int64_t batches) {
  const EvalScope eval(*model_);
  std::vector<tscore::Score> scores;
  PhaseSeconds unused{};
  for (int64_t i = 0; i < std::min(batches, train_->count()); ++i) {
    LANTHORN_ASSIGN_OR_RETURN(const data::Batch batch, Fetch(*train_, i, &unused));
    model_->ZeroGrad();
    LANTHORN_ASSIGN_OR_RETURN(const Pass pass,
                              ForwardBackward({batch}, /*with_score=*/true, /*verify=*/false, &unused));
    if (pass.score) scores.push_back(*pass.score);  // a batch without targets has none
    for (const auto& observer : observers_) observer->OnPart(i + 1, batches);
  }
  model_->ZeroGrad();
  return scores;
}

absl::Status Trainer::FinishEpoch(Control* control) {
  const EpochSums& sums = result_.sums;
  EpochRecord record;
  record.epoch = result_.epoch;
  record.epochs = options_.train.epochs;
  record.step = result_.steps;
  if (sums.loss_targets == 0 && sums.empty > 0) {
    return DataError(
        absl::StrFormat("epoch %d: none of its %d batches has a target (all are masked, or the loss function returned "
                        "0), so nothing was "
                        "learnt",
                        result_.epoch, sums.empty));
  }
  record.train_loss = sums.loss_targets > 0 ? sums.loss_sum / static_cast<double>(sums.loss_targets) : 0;
  record.seconds = sums.seconds;
  record.samples_per_s = sums.seconds > 0 ? static_cast<double>(sums.samples) / sums.seconds : 0;
  record.tokens_per_s = sums.seconds > 0 ? static_cast<double>(sums.tokens) / sums.seconds : 0;
  record.tscore = sums.tscore;
  record.noise = sums.noise;
  if (!options_.eval.off) {
    Announce("eval");
    LANTHORN_ASSIGN_OR_RETURN(const EvalRecord eval, Evaluate([this] { return Interrupted(); }));
    SecondsOf(between_, Phase::kEval) += eval.seconds;
    if (result_.code != 0) return absl::OkStatus();  // half an eval is not a result
    if (eval.targets == 0 && eval.batches > 0) {
      return DataError(
          absl::StrFormat("val: none of the %d batches has a target, so there is no val loss after update %d",
                          eval.batches, result_.steps));
    }
    if (eval.loss && !std::isfinite(*eval.loss)) {
      return NumericsError(absl::StrFormat("G23 nonfinite: the val loss is not finite after update %d", result_.steps));
    }
    record.val_loss = eval.loss;
    record.metrics = eval.metrics;
    record.eval_seconds = result_.eval_seconds = eval.seconds;
    for (const auto& observer : observers_) {
      const PhaseClock clock(&between_, observer->phase());
      LANTHORN_RETURN_IF_ERROR(observer->OnEval(eval, result_.steps));
    }
  }
  const std::optional<double> score = !options_.eval.off ? record.val_loss : record.train_loss;
  const std::optional<double> best = !result_.best        ? std::nullopt
                                     : !options_.eval.off ? result_.best->val_loss
                                                          : result_.best->train_loss;
  if (score && (!best || *score < *best)) {
    record.best = true;
    result_.best = record;
  }
  result_.epochs.push_back(record);
  for (const auto& observer : observers_) {
    const PhaseClock clock(&between_, observer->phase());
    LANTHORN_RETURN_IF_ERROR(observer->OnEpoch(record, control));
  }
  timer_.Interrupted();
  return absl::OkStatus();
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

absl::Status Trainer::RunEpoch(Control* control) {
  Announce("train");
  train_->SetEpoch(result_.epoch - 1);
  const int64_t planned = planned_steps();
  while (result_.batch < train_->count() && !control->stop && result_.steps < planned) {
    LANTHORN_RETURN_IF_ERROR(TrainStep(control));
    if (Interrupted()) control->stop = true;
    LANTHORN_RETURN_IF_ERROR(SaveWithin(control));
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
    if (checkpointer_ != nullptr) {
      Announce("save");
      const PhaseClock clock(&between_, Phase::kSave);
      const EpochRecord& record = result_.epochs.back();
      LANTHORN_RETURN_IF_ERROR(checkpointer_->AtEpochEnd(record.epoch, record.step, record.best));
      if (TakeSaveRequest()) LANTHORN_RETURN_IF_ERROR(checkpointer_->Save(result_.steps));
    }
  }
  if (result_.steps < planned && Interrupted()) control->stop = true;
  return absl::OkStatus();
}

void Trainer::TimeSteps() {
  result_.step_median_s = timer_.Median();
  result_.step_p10_s = timer_.Percentile(0.1);
  result_.step_p90_s = timer_.Percentile(0.9);
  result_.micro_median_s = micro_.Value();
}

absl::StatusOr<FitResult> Trainer::Run() {
  const SignalScope signals;
  const double begin = Now(), before = result_.seconds;
  const int64_t planned = planned_steps();
  Control control;
  control.stop = Interrupted();  // by now the time limit may be over
  LANTHORN_RETURN_IF_ERROR(BeginGuards());
  BeginTraining(*model_);
  last_record_s_ = Now();
  // All updates may be done and only the end of the last epoch be left.
  const auto more = [&] { return result_.steps < planned || result_.batch >= train_->count(); };
  while (result_.epoch <= options_.train.epochs && !control.stop && result_.code == 0 && more())
    if (absl::Status status = RunEpoch(&control); !status.ok()) LANTHORN_RETURN_IF_ERROR(RollBack(status));
  alive_.reset();
  LANTHORN_RETURN_IF_ERROR(guards_->Finish(result_.steps));
  if (result_.code == 0 && control.stop) {
    result_.state = "STOPPED";
    result_.reason = control.reason;
  } else if (result_.code == 0 && result_.steps < options_.train.epochs * epoch_steps()) {
    result_.state = "LIMIT";
    result_.reason =
        absl::StrFormat("max_steps: %d of %d updates", result_.steps, options_.train.epochs * epoch_steps());
  }
  result_.seconds = before + Now() - begin;
  TimeSteps();
  if (checkpointer_ != nullptr && result_.steps > 0) {
    Announce("save");
    const bool best_here = result_.best && result_.best->step == result_.steps;
    LANTHORN_RETURN_IF_ERROR(checkpointer_->AtEnd(result_.steps, best_here));
  }
  return result_;
}

}  // namespace lanthorn::train
