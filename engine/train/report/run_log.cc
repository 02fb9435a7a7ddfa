#include "engine/train/report/run_log.h"

#include "engine/train/signals.h"

namespace lanthorn::train {
namespace {

constexpr int64_t kMemoryEvery = 100;  // updates between two train lines with memory

nlohmann::json Number(const std::optional<double>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
}

void AddScore(const tscore::Score& score, bool sample_squares, nlohmann::json* line) {
  (*line)["tscore"] = Number(score.t);
  (*line)["tscore_corrected"] = Number(score.t_corrected);
  (*line)["tscore_status"] = score.status;
  (*line)["tscore_s"] = score.s;
  (*line)["tscore_q"] = score.q;
  (*line)["tscore_n"] = score.n;
  (*line)["noise_scale"] = Number(score.noise.scale);
  (*line)["noise_trace"] = Number(score.noise.trace);
  (*line)["noise_signal"] = Number(score.noise.signal);
  (*line)["noise_status"] = score.noise.status;
  if (sample_squares) (*line)["tscore_sample_sq"] = score.sample_sq;
  for (const tscore::GroupScore& group : score.groups)
    (*line)["tscore_groups"][group.name] = {{"tscore", Number(group.t)}, {"s", group.s}, {"q", group.q}};
}

void AddHybrid(const HybridStep& step, nlohmann::json* line) {
  (*line)["phase"] = kHybridPhaseNames[static_cast<size_t>(step.phase)];
  (*line)["confidence"] = step.confidence;
  if (step.accepted) (*line)["accepted"] = *step.accepted;
  if (step.probe_loss) (*line)["probe_loss"] = *step.probe_loss;
  if (step.delta_norm) (*line)["delta_norm"] = *step.delta_norm;
  if (step.forecast) (*line)["forecast"] = *step.forecast;
  if (!step.alarm.empty()) (*line)["alarm"] = step.alarm;
}

}  // namespace

absl::Status RunLog::OnStep(const StepRecord& record, Control*) {
  nlohmann::json phases;
  for (size_t i = 0; i < kPhaseNames.size(); ++i) {
    if (const double seconds = record.phases[i] + record.between[i]; seconds > 0)
      phases[kPhaseNames[i]] = seconds * 1e3;
  }
  const double epoch =
      static_cast<double>(record.epoch - 1) + static_cast<double>(record.batch) / static_cast<double>(record.batches);
  nlohmann::json line = {{"kind", "train"},
                         {"step", record.step},
                         {"epoch", epoch},
                         {"loss", record.loss},
                         {"lr", record.lr},
                         {"grad_norm", record.grad_norm},
                         {"tokens_backprop", record.tokens_total},
                         {"tokens_forward", record.tokens_forward_total},
                         {"updates_skipped", record.skipped_total},
                         {"step_ms", record.seconds * 1e3},
                         {"micro_ms", MicroSeconds(record) * 1e3},
                         {"wall_ms", record.wall_seconds * 1e3},
                         {"phase_ms", phases}};
  if (!HasLoss(record)) line["loss"] = nullptr;
  if (!HasGradient(record)) line["grad_norm"] = nullptr;
  if (record.empty) line["empty"] = true;
  if (record.hybrid) AddHybrid(*record.hybrid, &line);
  if (record.micro_batches > 1) line["micro_batches"] = record.micro_batches;
  for (const auto& [name, value] : record.terms) line["term"][name] = value;
  if (record.score) AddScore(*record.score, sample_squares_, &line);
  if (record.step % kMemoryEvery == 0) AddMemory(memory_, &line);
  LANTHORN_RETURN_IF_ERROR(run_->LogMetrics(line));
  nlohmann::json status = {{"step", record.step}, {"steps", record.steps}, {"epoch", epoch}};
  if (HasLoss(record)) status["loss"] = record.loss;
  if (record.remaining) status["eta_s"] = {record.remaining->low, record.remaining->mid, record.remaining->high};
  return run_->UpdateStatus(status);
}

absl::Status RunLog::OnEval(const EvalRecord& record, int64_t step) {
  nlohmann::json line = {{"kind", "eval"},
                         {"step", step},
                         {"split", "val"},
                         {"n", record.batches},
                         {"of", record.of},
                         {"targets", record.targets},
                         {"loss", Number(record.loss)},
                         {"eval_s", record.seconds}};
  for (const NamedValue& metric : record.metrics) line[metric.name] = metric.value;
  return run_->LogMetrics(line);
}

absl::Status RunLog::OnEpoch(const EpochRecord& record, Control*) {
  nlohmann::json line = {{"kind", "event"},
                         {"event", "epoch"},
                         {"step", record.step},
                         {"epoch", record.epoch},
                         {"train_loss", record.train_loss},
                         {"val_loss", Number(record.val_loss)},
                         {"train_s", record.seconds},
                         {"eval_s", record.eval_seconds},
                         {"tokens_per_s", record.tokens_per_s},
                         {"samples_per_s", record.samples_per_s},
                         {"best", record.best}};
  for (const NamedValue& metric : record.metrics) line["val_" + metric.name] = metric.value;
  AddMemory(memory_, &line);
  if (record.tscore.counted + record.tscore.skipped > 0) {
    line["tscore_mean"] = Number(record.tscore.Mean());
    line["tscore_std"] = Number(record.tscore.StdDev());
    line["tscore_undefined_n"] = record.tscore.skipped;
    line["noise_scale"] = Number(record.noise.Scale());
    line["noise_trace"] = Number(record.noise.trace.Mean());
    line["noise_signal"] = Number(record.noise.signal.Mean());
  }
  return run_->LogMetrics(line);
}

absl::Status RunLog::OnRollback(const Rollback& rollback) {
  return run_->LogMetrics({{"kind", "event"},
                           {"event", "rollback"},
                           {"step", rollback.step},
                           {"from_step", rollback.from_step},
                           {"lr_factor", rollback.lr_factor},
                           {"try_n", rollback.attempt},
                           {"of", rollback.of},
                           {"message", rollback.reason}});
}

void RunLog::OnPhase(const std::string& phase) {
  // A status that cannot be written shows at the next metrics line, which returns its error.
  (void)run_->UpdateStatus({{"phase", phase}});
}

void RunLog::OnSignal(int signal, int64_t step) {
  (void)run_->LogMetrics(
      {{"kind", "event"}, {"event", "signal"}, {"step", step}, {"signal", signal}, {"name", SignalName(signal)}});
}

}  // namespace lanthorn::train
