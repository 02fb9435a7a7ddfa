#include "bindings/train/records.h"

#include "bindings/tscore.h"

namespace lanthorn::lua {

// The phases that took any time.
template <>
struct ValueOf<train::PhaseSeconds> {
  static void Push(lua_State* L, const train::PhaseSeconds& phases) {
    NewTable table(L);
    for (size_t i = 0; i < phases.size(); ++i) table.SetIf(phases[i] > 0, train::kPhaseNames[i], phases[i] * 1e3);
  }
};

// nil where nothing was measured.
template <>
struct ValueOf<tscore::Statistics> {
  static void Push(lua_State* L, const tscore::Statistics& statistics) {
    if (statistics.counted + statistics.skipped == 0) return lua_pushnil(L);
    NewTable(L)
        .Set("mean", statistics.Mean())
        .Set("std", statistics.StdDev())
        .Set("n", statistics.counted)
        .Set("undefined_n", statistics.skipped);
  }
};

// The noise scale over several updates, beside the T-Score of the same ones.
template <>
struct ValueOf<tscore::NoiseStatistics> {
  static void Push(lua_State* L, const tscore::NoiseStatistics& noise) {
    if (noise.trace.counted + noise.trace.skipped == 0) return lua_pushnil(L);
    NewTable(L)
        .Set("scale", noise.Scale())
        .Set("trace", noise.trace.Mean())
        .Set("signal", noise.signal.Mean())
        .Set("n", noise.signal.counted)
        .Set("undefined_n", noise.signal.skipped);
  }
};

namespace {

// {name = value}; nil where there are none.
std::optional<std::map<std::string, double>> ByName(const std::vector<train::NamedValue>& metrics) {
  if (metrics.empty()) return std::nullopt;
  std::map<std::string, double> values;
  for (const train::NamedValue& metric : metrics) values[metric.name] = metric.value;
  return values;
}

}  // namespace

void ValueOf<train::EvalRecord>::Push(lua_State* L, const train::EvalRecord& record) {
  NewTable(L)
      .Set("loss", record.loss)
      .Set("batches", record.batches)
      .Set("of", record.of)
      .Set("targets", record.targets)
      .Set("metrics", ByName(record.metrics));
}

void ValueOf<train::EpochRecord>::Push(lua_State* L, const train::EpochRecord& record) {
  NewTable(L)
      .Set("epoch", record.epoch)
      .Set("epochs", record.epochs)
      .Set("step", record.step)
      .Set("train_loss", record.train_loss)
      .Set("val_loss", record.val_loss)
      .Set("metrics", ByName(record.metrics))
      .Set("train_s", record.seconds)
      .Set("eval_s", record.eval_seconds)
      .Set("tokens_per_s", record.tokens_per_s)
      .Set("samples_per_s", record.samples_per_s)
      .Set("tscore", record.tscore)
      .Set("noise", record.noise)
      .Set("best", record.best);
}

void ValueOf<train::StepRecord>::Push(lua_State* L, const train::StepRecord& record) {
  NewTable table(L);
  table.Set("step", record.step)
      .Set("steps", record.steps)
      .Set("epoch", record.epoch)
      .Set("batch", record.batch)
      .Set("batches", record.batches)
      .Set("micro_batches", record.micro_batches)
      .SetIf(train::HasLoss(record), "loss", record.loss)
      .Set("lr", record.lr)
      .SetIf(train::HasGradient(record), "grad_norm", record.grad_norm)
      .Set("updates_skipped", record.skipped_total)
      .Set("tokens_backprop", record.tokens_total)
      .Set("step_ms", record.seconds * 1e3)
      .Set("phases_ms", record.phases)
      .Set("between_ms", record.between)
      .SetIf(record.again, "again", true)
      .Set("tscore", record.score);
  if (!record.terms.empty()) table.Set("term", record.terms);
  if (!record.hybrid) return;
  table.Set("phase", train::kHybridPhaseNames[static_cast<size_t>(record.hybrid->phase)])
      .Set("backward", record.backward)
      .Set("confidence", record.hybrid->confidence)
      .Set("accepted", record.hybrid->accepted)
      .Set("probe_loss", record.hybrid->probe_loss)
      .Set("delta_norm", record.hybrid->delta_norm)
      .Set("forecast", record.hybrid->forecast);
}

void ValueOf<train::FitResult>::Push(lua_State* L, const train::FitResult& result) {
  const bool counted = result.reads.updates() > 0;
  NewTable(L)
      .Set("state", result.state)
      .Set("reason", result.reason)
      .Set("signal", result.signal)
      .Set("code", result.code)
      .Set("steps", result.steps)
      .Set("tokens", result.tokens)
      .Set("samples", result.samples)
      .SetIf(result.empty > 0, "empty_batches", result.empty)
      .Set("seconds", result.seconds)
      .Set("step_median_s", result.step_median_s)
      .Set("step_p10_s", result.step_p10_s)
      .Set("step_p90_s", result.step_p90_s)
      .Set("micro_median_s", result.micro_median_s)
      .SetIf(counted, "host_reads_per_step", result.reads.values())
      .SetIf(counted, "host_syncs_per_step", result.reads.syncs())
      .SetIf(counted, "optimizer_reads_per_step", result.reads.optimizer_values())
      .Set("tscore", result.tscore)
      .Set("noise", result.noise)
      .Set("epochs", result.epochs)
      .Set("best", result.best);
}

void ValueOf<train::Measurement>::Push(lua_State* L, const train::Measurement& measurement) {
  NewTable(L)
      .Set("first_loss", measurement.first_loss)
      .Set("step_s", measurement.step_s)
      .Set("activation_mb", static_cast<double>(measurement.activation_bytes) / 1e6)
      .Set("kept_activation_mb",
           measurement.kept_activation_bytes
               ? std::optional<double>(static_cast<double>(*measurement.kept_activation_bytes) / 1e6)
               : std::nullopt);
}

void ValueOf<train::Warning>::Push(lua_State* L, const train::Warning& warning) {
  NewTable(L)
      .Set("message", warning.message)
      .Set("step", warning.step)
      .Set("value", warning.value)
      .Set("limit", warning.limit);
}

void ValueOf<train::Rollback>::Push(lua_State* L, const train::Rollback& rollback) {
  NewTable(L)
      .Set("step", rollback.step)
      .Set("from_step", rollback.from_step)
      .Set("lr_factor", rollback.lr_factor)
      .Set("extra", rollback.extra);
}

void ValueOf<train::Restored>::Push(lua_State* L, const train::Restored& restored) {
  NewTable(L)
      .Set("checkpoint", restored.checkpoint)
      .Set("step", restored.step)
      .Set("passed_over", restored.passed_over)
      .Set("set_aside", restored.set_aside)
      .Set("note", restored.note)
      .Set("extra", restored.extra);
}

}  // namespace lanthorn::lua
