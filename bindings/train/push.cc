// Records of the training loop as Lua tables; values that do not exist are absent.
#include "bindings/train/trainer.h"
#include "bindings/tscore.h"

namespace lanthorn::lua {
namespace {

void Number(lua_State* L, const char* name, std::optional<double> value) {
  if (!value) return;
  lua_pushnumber(L, *value);
  lua_setfield(L, -2, name);
}

void Text(lua_State* L, const char* name, const std::string& value) {
  lua_pushlstring(L, value.data(), value.size());
  lua_setfield(L, -2, name);
}

// The phases that took any time.
void Phases(lua_State* L, const char* name, const train::PhaseSeconds& phases) {
  lua_createtable(L, 0, static_cast<int>(phases.size()));
  for (size_t i = 0; i < phases.size(); ++i) {
    if (phases[i] > 0) Number(L, train::kPhaseNames[i], phases[i] * 1e3);
  }
  lua_setfield(L, -2, name);
}

void Statistics(lua_State* L, const char* name, const tscore::Statistics& statistics) {
  if (statistics.counted + statistics.skipped == 0) return;
  lua_createtable(L, 0, 4);
  Number(L, "mean", statistics.Mean());
  Number(L, "std", statistics.StdDev());
  Number(L, "n", static_cast<double>(statistics.counted));
  Number(L, "undefined_n", static_cast<double>(statistics.skipped));
  lua_setfield(L, -2, name);
}

// The noise scale over several updates, beside the T-Score of the same ones.
void Noise(lua_State* L, const tscore::NoiseStatistics& noise) {
  if (noise.trace.counted + noise.trace.skipped == 0) return;
  lua_createtable(L, 0, 5);
  Number(L, "scale", noise.Scale());
  Number(L, "trace", noise.trace.Mean());
  Number(L, "signal", noise.signal.Mean());
  Number(L, "n", static_cast<double>(noise.signal.counted));
  Number(L, "undefined_n", static_cast<double>(noise.signal.skipped));
  lua_setfield(L, -2, "noise");
}

// {name = value}; nothing where there are none.
void Metrics(lua_State* L, const std::vector<train::NamedValue>& metrics) {
  if (metrics.empty()) return;
  lua_createtable(L, 0, static_cast<int>(metrics.size()));
  for (const train::NamedValue& metric : metrics) Number(L, metric.name.c_str(), metric.value);
  lua_setfield(L, -2, "metrics");
}

}  // namespace

void PushEval(lua_State* L, const train::EvalRecord& record) {
  lua_createtable(L, 0, 5);
  Number(L, "loss", record.loss);
  Number(L, "batches", static_cast<double>(record.batches));
  Number(L, "of", static_cast<double>(record.of));
  Number(L, "targets", static_cast<double>(record.targets));
  Metrics(L, record.metrics);
}

void PushEpoch(lua_State* L, const train::EpochRecord& record) {
  lua_createtable(L, 0, 10);
  Number(L, "epoch", static_cast<double>(record.epoch));
  Number(L, "epochs", static_cast<double>(record.epochs));
  Number(L, "step", static_cast<double>(record.step));
  Number(L, "train_loss", record.train_loss);
  Number(L, "val_loss", record.val_loss);
  Metrics(L, record.metrics);
  Number(L, "train_s", record.seconds);
  Number(L, "eval_s", record.eval_seconds);
  Number(L, "tokens_per_s", record.tokens_per_s);
  Number(L, "samples_per_s", record.samples_per_s);
  Statistics(L, "tscore", record.tscore);
  Noise(L, record.noise);
  lua_pushboolean(L, record.best);
  lua_setfield(L, -2, "best");
}

void PushStep(lua_State* L, const train::StepRecord& record) {
  lua_createtable(L, 0, 13);
  Number(L, "step", static_cast<double>(record.step));
  Number(L, "steps", static_cast<double>(record.steps));
  Number(L, "epoch", static_cast<double>(record.epoch));
  Number(L, "batch", static_cast<double>(record.batch));
  Number(L, "batches", static_cast<double>(record.batches));
  Number(L, "micro_batches", static_cast<double>(record.micro_batches));
  if (!record.empty) Number(L, "loss", record.loss);
  Number(L, "lr", record.lr);
  if (!record.empty) Number(L, "grad_norm", record.grad_norm);
  Number(L, "updates_skipped", static_cast<double>(record.skipped_total));
  if (!record.terms.empty()) {
    lua_createtable(L, 0, static_cast<int>(record.terms.size()));
    for (const auto& [name, value] : record.terms) Number(L, name.c_str(), value);
    lua_setfield(L, -2, "term");
  }
  Number(L, "tokens_backprop", static_cast<double>(record.tokens_total));
  Number(L, "step_ms", record.seconds * 1e3);
  Phases(L, "phases_ms", record.phases);
  Phases(L, "between_ms", record.between);
  if (record.score) {
    PushScore(L, *record.score);
    lua_setfield(L, -2, "tscore");
  }
}

void PushFit(lua_State* L, const train::FitResult& result) {
  lua_createtable(L, 0, 12);
  Text(L, "state", result.state);
  Text(L, "reason", result.reason);
  Number(L, "signal", result.signal);
  Number(L, "code", result.code);
  Number(L, "steps", static_cast<double>(result.steps));
  Number(L, "tokens", static_cast<double>(result.tokens));
  Number(L, "samples", static_cast<double>(result.samples));
  if (result.empty > 0) Number(L, "empty_batches", static_cast<double>(result.empty));
  Number(L, "seconds", result.seconds);
  Number(L, "step_median_s", result.step_median_s);
  Number(L, "step_p10_s", result.step_p10_s);
  Number(L, "step_p90_s", result.step_p90_s);
  Number(L, "micro_median_s", result.micro_median_s);
  if (result.reads.updates() > 0) {
    Number(L, "host_reads_per_step", result.reads.values());
    Number(L, "host_syncs_per_step", result.reads.syncs());
    Number(L, "optimizer_reads_per_step", result.reads.optimizer_values());
  }
  Statistics(L, "tscore", result.tscore);
  Noise(L, result.noise);
  lua_createtable(L, static_cast<int>(result.epochs.size()), 0);
  for (size_t i = 0; i < result.epochs.size(); ++i) {
    PushEpoch(L, result.epochs[i]);
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  lua_setfield(L, -2, "epochs");
  if (result.best) {
    PushEpoch(L, *result.best);
    lua_setfield(L, -2, "best");
  }
}

}  // namespace lanthorn::lua
