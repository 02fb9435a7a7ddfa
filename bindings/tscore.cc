// The table `tscore`: T-Score of a loss, of explicit gradient rows, and the formulas.
#include "bindings/tscore.h"

#include <ATen/Functions.h>

#include <cmath>

#include "absl/strings/str_cat.h"
#include "bindings/lua/json.h"
#include "bindings/lua/typed.h"
#include "bindings/nn/module.h"
#include "bindings/tensor/tensor.h"
#include "engine/nn/buffers_aside.h"
#include "engine/tscore/loop.h"
#include "engine/tscore/published.h"
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

struct MeasureOptions {
  bool verify = true;
  std::string groups = "none", reduction = "mean";
};
template <typename Visit>
void Fields(Visit&& visit, MeasureOptions& options) {
  visit({"verify", "a parameter that no layer reports is an error"}, options.verify);
  visit({"groups", "a score for each module or parameter", {}, {"none", "module", "parameter"}}, options.groups);
  visit({"reduction", "the loss is the mean or the sum over the samples", {}, {"mean", "sum"}}, options.reduction);
}

tscore::Score Measure(lua_State* L, nn::Module& model, Anything loss, const MeasureOptions& options) {
  luaL_checktype(L, loss.index, LUA_TFUNCTION);
  tscore::Tally tally(Value(tscore::GroupingOf(options.groups)));
  const tscore::GradientsAside aside(model.Parameters());
  const OpenRecorder recorder;
  const at::Tensor value = CallLoss(L, loss.index, 0, "tscore.measure");
  recorder.get()->Close();
  value.backward();
  Check(tally.Add(recorder.get(), aside.parameters(), options.verify));
  tscore::Score score = Value(tally.Finish(aside.parameters()));
  if (options.reduction == "sum") SetNoise(/*own=*/1, &score);
  return score;
}

struct LoopOptions {
  std::string groups = "none";
};
template <typename Visit>
void Fields(Visit&& visit, LoopOptions& options) {
  visit({"groups", "a score for each module or parameter", {}, {"none", "module", "parameter"}}, options.groups);
}

tscore::Score Loop(lua_State* L, nn::Module& model, int64_t n, Anything loss, const LoopOptions& options) {
  luaL_checktype(L, loss.index, LUA_TFUNCTION);
  if (n < 0) throw UsageError("tscore.loop: the number of samples must not be negative");
  const nn::BuffersAside buffers(model);
  const auto loss_of = [L, loss](int64_t i) -> absl::StatusOr<tscore::WeightedLoss> {
    lua_pushnumber(L, static_cast<double>(i));
    return tscore::WeightedLoss{CallLoss(L, loss.index, 1, "tscore.loop")};
  };
  return Value(tscore::LoopScore(model.Parameters(), n, loss_of, Value(tscore::GroupingOf(options.groups))));
}

struct Compatibility {
  std::string compat = "none";
};
struct RowsOptions {
  Compatibility compatibility;
  int64_t rows = 16;
};
template <typename Visit>
void Fields(Visit&& visit, Compatibility& options) {
  visit({"compat", "a published formula", {}, {"none", "v1.1", "sigmoid", "shadow", "plugin"}}, options.compat);
}
template <typename Visit>
void Fields(Visit&& visit, RowsOptions& options) {
  Fields(visit, options.compatibility);
  visit({"rows", "compat=plugin: the first so many rows, as published 8 or 16", 1}, options.rows);
}

void ApplyTo(tscore::Score* score, const Compatibility& options, double norms) {
  const std::optional<tscore::Form> form = Value(tscore::FormOf(options.compat));
  if (!form) return;
  score->t = tscore::Published(*form, score->s, score->q, score->n, norms);
  score->status = options.compat;
}

tscore::Score OfRows(const at::Tensor& gradients, const RowsOptions& options) {
  at::Tensor rows = gradients.detach().to(c10::kCPU, c10::kDouble);
  if (rows.dim() != 2) throw UsageError("tscore.of_rows: expected gradients (N, P), got " + TensorLabel(rows));
  if (options.compatibility.compat == "plugin") rows = rows.narrow(0, 0, std::min(options.rows, rows.size(0)));
  const at::Tensor squares = rows.square().sum(1);
  tscore::Score score =
      tscore::Compute(rows.sum(0).square().sum().item<double>(), squares.sum().item<double>(), rows.size(0));
  score.method = "rows";
  SetNoise(/*own=*/1, &score);
  score.sample_sq.assign(squares.data_ptr<double>(), squares.data_ptr<double>() + squares.numel());
  ApplyTo(&score, options.compatibility, squares.sqrt().sum().item<double>());
  return score;
}

tscore::Score OfSums(double s, double q, int64_t n, const Compatibility& options) {
  tscore::Score score = tscore::Compute(s, q, n);
  SetNoise(/*own=*/1, &score);
  if (options.compat == "shadow" || options.compat == "plugin") {
    throw UsageError("tscore.compute: the form '" + options.compat +
                     "' needs more than S, Q and N: norms, or the first rows alone; use tscore.of_rows");
  }
  ApplyTo(&score, options, 0);
  return score;
}

nlohmann::json MicroScore(double small_sq, double big_sq, int64_t b, int64_t n) {
  if (b < 1 || n <= b) {
    throw UsageError(absl::StrCat("tscore.micro: b is ", b, " and n is ", n, ", expected 1 or more, and more than b"));
  }
  const tscore::Micro micro = tscore::FromBatches(small_sq, big_sq, b, n);
  nlohmann::json result = {{"trace", micro.trace}, {"signal", micro.signal}, {"n", n}, {"method", "micro"}};
  if (micro.t) result["t"] = *micro.t;
  return result;
}

std::optional<double> GradCv(const at::Tensor& gradient) {
  const at::Tensor wide = gradient.detach().to(c10::kCPU, c10::kDouble).flatten();
  if (wide.numel() < 2) throw UsageError("tscore.grad_cv: expected a gradient of two elements or more");
  const double mean = std::abs(wide.mean().item<double>());
  if (!(mean > 0)) return std::nullopt;
  return wide.std().item<double>() / mean;
}

std::optional<double> FromSigmoid(double old, int64_t n) {
  if (!(old > 0.5 && old < 1) || n < 2) return std::nullopt;
  return 1 - 1 / (static_cast<double>(n) * std::log(old / (1 - old)));
}

const std::vector<FunctionRow> kRows = {
    {"measure", "model, function loss",
     "T-Score of one batch: calls loss() -> Tensor once, runs its backward, and takes every sample's gradient norm "
     "from it. Dimension 0 of every layer's input is the sample. Gradients are put back afterwards. A parameter that "
     "no layer reports is an error that names it. groups: 'module' or 'parameter' adds a score for each. noise is "
     "the simple noise scale tr(Sigma) / ||G||^2 with both estimates; reduction tells whether the loss is the mean "
     "or the sum over the samples. Computed in the type of the model: train.precision concerns the trainer's own "
     "T-Scores only.",
     Typed<&Measure>},
    {"loop", "model, n, function loss",
     "The same by n backward passes: loss(i) gives the loss of sample i alone, i = 0 .. n-1. The oracle. Gradients and "
     "buffers are put back afterwards.",
     Typed<&Loop>},
    {"of_rows", "gradients", "T-Score of explicit gradients (N, P).", Typed<&OfRows>,
     "tscore.of_rows(torch.tensor{{1, 0}, {0, 1}}).t"},
    {"compute", "s, q, n",
     "T = 1 - S/(N Q) from S = ||sum g||^2 and Q = sum ||g||^2. t is nil when undefined, with the reason in status "
     "(too_few, nonfinite, vanishing); compat names a published formula. noise takes the g as gradients of the "
     "samples' own losses.",
     Typed<&OfSums>, "tscore.compute(2, 2, 2).t"},
    {"micro", "small_sq, big_sq, b, n",
     "T of n samples from squared gradient norms alone: the mean over batches of b, and that of n > b. Estimates "
     "tr(Sigma) and ||G||^2 without bias, and T with the noise of both; t is nil where their sum is not positive.",
     Typed<&MicroScore>, "tscore.micro(2, 1, 1, 2).t"},
    {"grad_cv", "gradient",
     "Standard deviation over |mean| of the elements of one batch gradient; nil for a mean of 0. It circulates as a "
     "T-Score, also as tanh(r / 2) of it; it has nothing to do with samples.",
     Typed<&GradCv>},
    {"from_sigmoid", "old, n",
     "The T that a published value of the sigmoid form stands for: 1 - 1 / (n logit(old)); nil for one that the form "
     "cannot have.",
     Typed<&FromSigmoid>, "tscore.from_sigmoid(.50842, 32)"},
};

}  // namespace

void ValueOf<tscore::Noise>::Push(lua_State* L, const tscore::Noise& noise) {
  NewTable(L)
      .Set("scale", noise.scale)
      .Set("trace", noise.trace)
      .Set("signal", noise.signal)
      .Set("status", noise.status);
}

void ValueOf<tscore::GroupScore>::Push(lua_State* L, const tscore::GroupScore& group) {
  NewTable(L)
      .Set("name", group.name)
      .Set("t", group.t)
      .Set("t_corrected", group.t_corrected)
      .Set("s", group.s)
      .Set("q", group.q)
      .Set("status", group.status);
}

void ValueOf<tscore::Score>::Push(lua_State* L, const tscore::Score& score) {
  NewTable(L)
      .Set("t", score.t)
      .Set("t_corrected", score.t_corrected)
      .SetIf(score.t_corrected.has_value(), "raw", score.raw)  // a score that is undefined has no raw value either
      .Set("s", score.s)
      .Set("q", score.q)
      .Set("n", score.n)
      .Set("status", score.status)
      .Set("method", score.method)
      .Set("noise", score.noise)
      .SetIf(!score.groups.empty(), "groups", score.groups)
      .Set("sample_sq", score.sample_sq);
}

void OpenTScore(lua_State* L) {
  lua_newtable(L);
  RegisterRows(L, "tscore", kRows);
  lua_setfield(L, -2, "tscore");
}

}  // namespace lanthorn::lua
