// The table `tscore`: T-Score of a loss, of explicit gradient rows, and the formulas.
#include "bindings/tscore.h"

#include <ATen/Functions.h>

#include "bindings/lua/function.h"
#include "bindings/nn/module.h"
#include "bindings/ops/function_call.h"
#include "bindings/tensor/tensor.h"
#include "engine/nn/buffers_aside.h"
#include "engine/tscore/loop.h"
#include "engine/tscore/tally.h"

namespace lanthorn::lua {
namespace {

using tscore::Recorder;

// Closes the recorder when an error passes the forward.
class OpenRecorder {
 public:
  OpenRecorder() : recorder_(Recorder::Open()) {}
  ~OpenRecorder() { recorder_->Close(); }
  Recorder* get() const { return recorder_.get(); }

 private:
  Recorder::Ptr recorder_;
};

// Calls the function at `index` with the arguments on the top; its first result must be a loss. Leaves nothing. [-n,
// +0, e]
at::Tensor CallLoss(lua_State* L, int index, int arguments, const char* who) {
  lua_pushvalue(L, index);
  lua_insert(L, -arguments - 1);
  lua_call(L, arguments, 1);
  const at::Tensor loss = CheckTensor(L, lua_gettop(L), (std::string(who) + ": the loss").c_str());
  lua_pop(L, 1);
  if (loss.numel() != 1)
    throw UsageError(std::string(who) + ": the loss must have one element, got " + TensorLabel(loss));
  if (!loss.requires_grad()) throw UsageError(std::string(who) + ": the loss depends on no trainable parameter");
  return loss;
}

int Measure(lua_State* L) {
  const auto module = CheckObject<nn::Module>(L, 1, "tscore.measure");
  luaL_checktype(L, 2, LUA_TFUNCTION);
  static const NamedSignature signature =
      ParseSignature("measure(bool verify=True, str groups='none', str reduction='mean')");
  const std::vector<c10::IValue> options = ReadCall(L, 3, signature, "tscore.");
  tscore::Tally tally(Value(tscore::GroupingOf(options[1].toStringRef())));
  const std::string reduction = options[2].toStringRef();
  if (reduction != "mean" && reduction != "sum")
    Check(ConfigError("tscore.measure: reduction '" + reduction + "' is not known; use mean or sum"));
  lua_settop(L, 2);
  const tscore::GradientsAside aside(module->Parameters());
  const OpenRecorder recorder;
  const at::Tensor loss = CallLoss(L, 2, 0, "tscore.measure");
  recorder.get()->Close();
  loss.backward();
  Check(tally.Add(recorder.get(), aside.parameters(), /*verify=*/options[0].toBool()));
  tscore::Score score = Value(tally.Finish(aside.parameters()));
  if (reduction == "sum") SetNoise(/*own=*/1, &score);
  PushScore(L, score);
  return 1;
}

int Loop(lua_State* L) {
  const auto module = CheckObject<nn::Module>(L, 1, "tscore.loop");
  const int64_t samples = CheckWhole(L, 2, "tscore.loop: n");
  luaL_checktype(L, 3, LUA_TFUNCTION);
  if (samples < 0) throw UsageError("tscore.loop: the number of samples must not be negative");
  static const NamedSignature signature = ParseSignature("loop(str groups='none')");
  const std::vector<c10::IValue> options = ReadCall(L, 4, signature, "tscore.");
  const tscore::Grouping grouping = Value(tscore::GroupingOf(options[0].toStringRef()));
  lua_settop(L, 3);
  const nn::BuffersAside buffers(*module);
  const auto loss = [L](int64_t i) -> absl::StatusOr<tscore::WeightedLoss> {
    lua_pushnumber(L, static_cast<double>(i));
    return tscore::WeightedLoss{CallLoss(L, 3, 1, "tscore.loop")};
  };
  PushScore(L, Value(tscore::LoopScore(module->Parameters(), samples, loss, grouping)));
  return 1;
}

bool WantsV11(lua_State* L, int index) {
  if (!lua_istable(L, index)) return false;
  lua_getfield(L, index, "compat");
  const bool given = !lua_isnil(L, -1);
  const std::string name = given ? luaL_checkstring(L, -1) : "";
  lua_pop(L, 1);
  if (given && name != "v1.1") Check(ConfigError("tscore: compat '" + name + "' is not known; use 'v1.1'"));
  return given;
}

void ApplyV11(tscore::Score* score) {
  score->t = tscore::ComputeV11(score->s, score->q, score->n);
  score->status = "v1.1";
}

int OfRows(lua_State* L) {
  const at::Tensor rows = CheckTensor(L, 1, "tscore.of_rows").detach().to(c10::kCPU, c10::kDouble);
  if (rows.dim() != 2) throw UsageError("tscore.of_rows: expected gradients (N, P), got " + TensorLabel(rows));
  const at::Tensor squares = rows.square().sum(1);
  tscore::Score score =
      tscore::Compute(rows.sum(0).square().sum().item<double>(), squares.sum().item<double>(), rows.size(0));
  score.method = "rows";
  SetNoise(/*own=*/1, &score);
  score.sample_sq.assign(squares.data_ptr<double>(), squares.data_ptr<double>() + squares.numel());
  if (WantsV11(L, 2)) ApplyV11(&score);
  PushScore(L, score);
  return 1;
}

int ComputeFunction(lua_State* L) {
  tscore::Score score =
      tscore::Compute(luaL_checknumber(L, 1), luaL_checknumber(L, 2), CheckWhole(L, 3, "tscore.compute: n"));
  SetNoise(/*own=*/1, &score);
  if (WantsV11(L, 4)) ApplyV11(&score);
  PushScore(L, score);
  return 1;
}

const std::vector<FunctionRow> kRows = {
    {"measure", "(Module model, function loss, *, bool verify=True, str groups='none', str reduction='mean') -> table",
     "T-Score of one batch: calls loss() -> Tensor once, runs its backward, and takes every sample's gradient norm "
     "from it. Dimension 0 of "
     "every layer's input is the sample. Gradients are put back afterwards. A parameter that no layer reports is an "
     "error that names it. groups: 'module' or 'parameter' adds a score for each. noise is the simple noise scale "
     "tr(Sigma) / ||G||^2 with both estimates; reduction tells whether the loss is the mean or the sum over the "
     "samples. Computed in the type of the model: train.precision concerns the trainer's own T-Scores only.",
     &Thunk<&Measure>},
    {"loop", "(Module model, int n, function loss, *, str groups='none') -> table",
     "The same by n backward passes: loss(i) gives the loss of sample i alone, i = 0 .. n-1. The oracle. Gradients and "
     "buffers are put back afterwards.",
     &Thunk<&Loop>},
    {"of_rows", "(Tensor gradients, *, str? compat=None) -> table", "T-Score of explicit gradients (N, P).",
     &Thunk<&OfRows>, "tscore.of_rows(torch.tensor{{1, 0}, {0, 1}}).t"},
    {"compute", "(float s, float q, int n, *, str? compat=None) -> table",
     "T = 1 - S/(N Q) from S = ||sum g||^2 and Q = sum ||g||^2. t is nil when undefined, with the reason in status "
     "(too_few, nonfinite, "
     "vanishing); compat='v1.1' is the published formula. noise takes the g as gradients of the samples' own losses.",
     &Thunk<&ComputeFunction>, "tscore.compute(2, 2, 2).t"},
};

}  // namespace

void PushScore(lua_State* L, const tscore::Score& score) {
  lua_createtable(L, 0, 11);
  const auto number = [L](const char* name, std::optional<double> value) {
    if (!value) return;  // undefined is nil
    lua_pushnumber(L, *value);
    lua_setfield(L, -2, name);
  };
  const auto text = [L](const char* name, const std::string& value) {
    lua_pushstring(L, value.c_str());
    lua_setfield(L, -2, name);
  };
  number("t", score.t);
  number("t_corrected", score.t_corrected);
  if (score.t_corrected) number("raw", score.raw);  // a score that is undefined has no raw value either
  number("s", score.s);
  number("q", score.q);
  number("n", static_cast<double>(score.n));
  text("status", score.status);
  text("method", score.method);
  lua_createtable(L, 0, 4);
  number("scale", score.noise.scale);
  number("trace", score.noise.trace);
  number("signal", score.noise.signal);
  text("status", score.noise.status);
  lua_setfield(L, -2, "noise");
  if (!score.groups.empty()) {
    lua_createtable(L, static_cast<int>(score.groups.size()), 0);
    for (size_t i = 0; i < score.groups.size(); ++i) {
      const tscore::GroupScore& group = score.groups[i];
      lua_createtable(L, 0, 6);
      text("name", group.name);
      number("t", group.t);
      number("t_corrected", group.t_corrected);
      number("s", group.s);
      number("q", group.q);
      text("status", group.status);
      lua_rawseti(L, -2, static_cast<int>(i) + 1);
    }
    lua_setfield(L, -2, "groups");
  }
  lua_createtable(L, static_cast<int>(score.sample_sq.size()), 0);
  for (size_t i = 0; i < score.sample_sq.size(); ++i) {
    lua_pushnumber(L, score.sample_sq[i]);
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  lua_setfield(L, -2, "sample_sq");
}

void OpenTScore(lua_State* L) {
  lua_newtable(L);
  RegisterRows(L, "tscore", kRows);
  lua_setfield(L, -2, "tscore");
}

}  // namespace lanthorn::lua
