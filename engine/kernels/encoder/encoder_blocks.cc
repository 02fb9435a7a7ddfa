#include "engine/kernels/encoder/encoder_blocks.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <memory>
#include <tuple>
#include <vector>

#include "engine/base/torch_compat.h"
#include "engine/kernels/encoder/encoder_run.h"
#include "engine/kernels/encoder/recompute.h"
#include "engine/kernels/gemm/precision.h"
#include "engine/kernels/linear/pairs.h"
#include "engine/tscore/recorder.h"
#include "engine/tscore/samplers.h"

namespace lanthorn::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using MaybeTensor = compat::Optional<at::Tensor>;

constexpr const char* kTag = "[encoder_blocks]";
constexpr int64_t kFewSamples = 4;

// What forward and backward need beside saved tensors.
struct Context : torch::CustomClassHolder {
  EncoderInputs inputs;  // without x
  bool stacked = true;   // else the parameters are those of one block
  const char* layer = "";
  bool gradients = false;
  EncoderWanted wanted;
  tscore::Recorder::Ptr recorder;
  at::Tensor tables;  // of relations, as the recorder knows them; undefined without
};

// What a report unpacks only when someone asks for more than squares: all gradients of the linear layers' outputs, by
// another backward. Holds no part of the graph, which holds the recorder.
struct Lazy {
  EncoderInputs inputs;
  EncoderTensors saved;
  at::Tensor grad_y;
  EncoderDeltaTensors deltas;

  // The tensor that EncoderActivations::Input tells.
  at::Tensor Input(int linear) const {
    const EncoderLayout& l = inputs.layout;
    const bool pre = l.options.norm_first;
    if (linear == kJoined && !pre) return inputs.x;
    const int own = linear == kSecond       ? kHidden
                    : linear == kProjection ? kMixed
                    : linear == kFirst      ? (pre ? kNormed2 : kNormed1)
                                            : kNormed1;
    return saved[static_cast<size_t>(own)].view({l.nodes, l.N, l.T, l.in(linear)});
  }
  at::Tensor Delta(int linear) {
    const EncoderLayout& l = inputs.layout;
    if (!deltas[0].defined()) deltas = EncoderDeltasOf(inputs, saved, grad_y);
    return deltas[static_cast<size_t>(linear)].view({l.nodes, l.N, l.T, l.out(linear)});
  }
};

void Report(const Context& context, const EncoderGradients& gradients, const std::shared_ptr<Lazy>& lazy) {
  const auto report = [&](int parameter, std::unique_ptr<tscore::Use> use) {
    if (!context.wanted.parameters[static_cast<size_t>(parameter)]) return;
    context.recorder->Report(context.inputs.parameters[static_cast<size_t>(parameter)], context.layer, std::move(use));
  };
  for (int i = 0; i < kEncoderLinears; ++i) {
    const at::Tensor& squares = gradients.squares[static_cast<size_t>(i)];
    const bool stacked = context.stacked;
    report(kEncoderWeights[i], tscore::LazyUse(squares[0], [lazy, i, stacked] {
             const at::Tensor x = lazy->Input(i), delta = lazy->Delta(i);
             return stacked ? tscore::StackedLinearUse(x, delta) : tscore::LinearUse(x.dim() == 4 ? x[0] : x, delta[0]);
           }));
    report(kEncoderBiases[i], tscore::LazyUse(squares[1], [lazy, i, stacked] {
             return stacked ? tscore::StackedBiasUse(lazy->Delta(i)) : tscore::BiasUse(lazy->Delta(i)[0], 1);
           }));
  }
  if (gradients.tables.defined())
    context.recorder->Report(context.tables, context.layer, tscore::BiasUse(gradients.tables, 2));
  for (int norm = 0; norm < 2; ++norm) {
    for (int which = 0; gradients.norms[norm].defined() && which < 2; ++which) {
      const at::Tensor own = gradients.norms[norm].select(2, which);
      report(kEncoderNorms[norm] + which, context.stacked ? tscore::StackedBiasUse(own) : tscore::BiasUse(own[0], 1));
    }
  }
}

class EncoderFunction : public torch::autograd::Function<EncoderFunction> {
 public:
  // All parameters are arguments, so that autograd sees them, in the order of EncoderParameter, and behind them the
  // tables of relations; their values are those of the context.
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const MaybeTensor&, const MaybeTensor&,
                            const MaybeTensor&, const MaybeTensor&, const MaybeTensor&, const MaybeTensor&,
                            const MaybeTensor&, const MaybeTensor&, const MaybeTensor&, const MaybeTensor&,
                            const MaybeTensor&, const MaybeTensor&, const MaybeTensor&,
                            const c10::intrusive_ptr<Context>& context) {
    EncoderInputs inputs = context->inputs;
    inputs.x = x.contiguous();
    EncoderTensors saved;
    const at::Tensor y = RunEncoderForward(inputs, context->gradients ? &saved : nullptr);
    variable_list kept = {inputs.x};
    kept.insert(kept.end(), inputs.parameters.begin(), inputs.parameters.end());
    kept.insert(kept.end(), saved.begin(), saved.end());
    ctx->save_for_backward(kept);
    ctx->saved_data["context"] = c10::IValue::make_capsule(context);
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grad_outputs) {
    TORCH_CHECK(!at::GradMode::is_enabled(), kTag, " has no second derivative; use plain operators for create_graph");
    if (!grad_outputs[0].defined()) return variable_list(kEncoderParameters + 3);
    const auto context = c10::static_intrusive_pointer_cast<Context>(ctx->saved_data["context"].toCapsule());
    const variable_list kept = ctx->get_saved_variables();
    EncoderInputs inputs = context->inputs;
    const EncoderLayout& l = inputs.layout;
    inputs.x = kept[0].detach();
    for (size_t i = 0; i < kEncoderParameters; ++i)
      inputs.parameters[i] = kept[1 + i].defined() ? kept[1 + i].detach() : at::Tensor();
    EncoderTensors saved;
    std::copy_n(kept.begin() + 1 + kEncoderParameters, saved.size(), saved.begin());
    at::Tensor grad_y = grad_outputs[0].contiguous();
    if (l.options.mean && l.nodes > 1) grad_y = grad_y.div(static_cast<double>(l.nodes));
    const EncoderGradients gradients = RunEncoderBackward(inputs, saved, grad_y, context->wanted);
    if (context->recorder != nullptr)
      Report(*context, gradients, std::make_shared<Lazy>(Lazy{inputs, saved, grad_y.detach(), {}}));
    variable_list result = {gradients.x};
    result.insert(result.end(), gradients.parameters.begin(), gradients.parameters.end());
    result.push_back(gradients.tables.defined() ? gradients.tables.sum(0) : at::Tensor());
    result.emplace_back();
    return result;
  }
};

bool MayBeMissing(int parameter) { return parameter % 2 == 1 || parameter >= kNorm1Weight; }

// Of all biases of the linear layers, or of the norms' weights, or of their biases: there, or all missing.
void CheckTogether(const EncoderParameters& p, std::initializer_list<int> group, const char* what) {
  for (const int i : group)
    TORCH_CHECK(p[static_cast<size_t>(i)].defined() == p[static_cast<size_t>(*group.begin())].defined(), kTag, " ",
                what, " must be given together");
}

void CheckParameters(const at::Tensor& x, const EncoderParameters& p, const EncoderOptions& o) {
  for (int i = 0; i < kEncoderParameters; ++i) {
    const at::Tensor& own = p[static_cast<size_t>(i)];
    TORCH_CHECK(own.defined() ? own.device() == x.device() && own.scalar_type() == x.scalar_type() : MayBeMissing(i),
                kTag, " all weights, and what is given of biases and norms, must be ", x.scalar_type(), " on ",
                x.device(), " as the input");
  }
  CheckTogether(p, {kInBias, kOutBias, kBias1, kBias2}, "the biases of the linear layers");
  CheckTogether(p, {kNorm1Weight, kNorm2Weight}, "the weights of the norms");
  CheckTogether(p, {kNorm1Bias, kNorm2Bias}, "the biases of the norms");
  TORCH_CHECK(p[kNorm1Weight].defined() || !p[kNorm1Bias].defined(), kTag, " a norm's bias needs a weight beside it");
  const bool stacked = p[kWeight2].dim() == 3;
  TORCH_CHECK(stacked || p[kWeight2].dim() == 2, kTag, " weights must be (n, out, in) or (out, in), got ",
              p[kWeight2].sizes());
  const int64_t n = stacked ? p[kWeight2].size(0) : 1, d = p[kWeight2].size(-2), ff = p[kWeight2].size(-1);
  const int64_t inner = p[kOutWeight].dim() > 1 ? p[kOutWeight].size(-1) : d, wide = o.gated ? 2 * ff : ff;
  const std::array<std::vector<int64_t>, kEncoderParameters> expected = {
      {{3 * inner, d}, {3 * inner}, {d, inner}, {d}, {wide, d}, {wide}, {d, ff}, {d}, {d}, {d}, {d}, {d}}};
  for (size_t i = 0; i < p.size(); ++i) {
    if (!p[i].defined()) continue;
    std::vector<int64_t> sizes = expected[i];
    if (stacked) sizes.insert(sizes.begin(), n);
    TORCH_CHECK(p[i].sizes() == sizes, kTag, " parameter ", i, " must be ", at::IntArrayRef(sizes), ", got ",
                p[i].sizes());
  }
  TORCH_CHECK(o.heads > 0 && inner % o.heads == 0, kTag, " ", o.heads, " heads do not divide the width ", inner);
}

void CheckShapes(const at::Tensor& x, const at::Tensor& padding, const EncoderParameters& p, const EncoderOptions& o,
                 const RelationBias& bias) {
  CheckParameters(x, p, o);
  const bool stacked = p[kWeight2].dim() == 3;
  const int64_t n = stacked ? p[kWeight2].size(0) : 1, d = p[kWeight2].size(-2);
  TORCH_CHECK(stacked || (x.dim() == 3 && x.size(2) == d), kTag, " input must be (N, T, ", d, "), got ", x.sizes());
  TORCH_CHECK((x.dim() == 3 || (x.dim() == 4 && x.size(0) == n)) && x.size(-1) == d, kTag, " input must be (N, T, ", d,
              ") or (", n, ", N, T, ", d, "), got ", x.sizes());
  for (const double share : o.dropout)
    TORCH_CHECK(share >= 0 && share < 1, kTag, " dropout must be in [0, 1), got ", share);
  if (bias.defined()) {
    TORCH_CHECK(!stacked, kTag, " relations are for one block, whose weights are (out, in)");
    CheckRelations(bias, x.size(0), x.size(1), x.options());
  }
  if (!padding.defined()) return;
  TORCH_CHECK(padding.scalar_type() == c10::kBool && padding.dim() == 2 && padding.size(0) == x.size(-3) &&
                  padding.size(1) == x.size(-2) && padding.device() == x.device(),
              kTag, " padding must be a bool (", x.size(-3), ", ", x.size(-2), ") on ", x.device(), ", got ",
              padding.scalar_type(), " ", padding.sizes(), " on ", padding.device());
}

}  // namespace

at::Tensor EncoderBlocks(const at::Tensor& x, const at::Tensor& padding, const EncoderParameters& parameters,
                         const EncoderOptions& options, const char* layer, const RelationBias& bias) {
  CheckShapes(x, padding, parameters, options, bias);
  if (Recomputing() && at::GradMode::is_enabled()) {
    std::vector<at::Tensor> leaves(parameters.begin(), parameters.end());
    leaves.push_back(bias.tables);
    return Recomputed(x, leaves, [=](const at::Tensor& input) {
      return EncoderBlocks(input, padding, parameters, options, layer, bias);
    });
  }
  // Samples are what the threads share: a few go part by part, where rows and heads are. By the shape alone, so that
  // the bits do not depend on the threads.
  if (x.size(-3) < kFewSamples || !x.device().is_cpu() || x.scalar_type() != c10::kFloat || x.numel() == 0 ||
      parameters[kWeight2].numel() == 0)
    return EncoderBlocksReference(x, padding, parameters, options, layer, bias);
  auto context = c10::make_intrusive<Context>();
  const at::Tensor& last = parameters[kWeight2];
  context->stacked = last.dim() == 3;
  context->inputs.layout = {.nodes = context->stacked ? last.size(0) : 1,
                            .N = x.size(-3),
                            .T = x.size(-2),
                            .d = last.size(-2),
                            .inner = parameters[kOutWeight].size(-1),
                            .ff = last.size(-1),
                            .shared = x.dim() == 3,
                            .options = options,
                            .operands = OperandsOf(CurrentPrecision())};
  context->inputs.keys = AttentionKeyTensors::Of(padding, bias, x.options());
  context->inputs.parameters = parameters;
  context->layer = layer;
  context->wanted.x = x.requires_grad();
  bool trains = false;
  for (size_t i = 0; i < parameters.size(); ++i)
    trains = (context->wanted.parameters[i] = parameters[i].defined() && parameters[i].requires_grad()) || trains;
  context->wanted.tables = bias.defined() && bias.tables.requires_grad();
  context->tables = bias.tables;
  trains = trains || context->wanted.tables;
  context->gradients = at::GradMode::is_enabled() && (trains || context->wanted.x);
  if (context->gradients && trains) context->recorder = tscore::Recorder::Current();
  context->wanted.squares = context->recorder != nullptr;
  const auto apply = [&](const auto&... parameter) {
    const auto given = [](const at::Tensor& tensor) {
      return tensor.defined() ? MaybeTensor(tensor) : compat::kNullopt;
    };
    return EncoderFunction::apply(x, given(parameter)..., given(bias.tables), context);
  };
  const at::Tensor y = std::apply(apply, parameters);
  return context->stacked || y.dim() == 3 ? y : y.squeeze(0);
}

}  // namespace lanthorn::kernels
