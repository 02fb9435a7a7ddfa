#include "engine/kernels/encoder/encoder_blocks.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "engine/base/torch_compat.h"
#include "engine/kernels/attention/attention.h"
#include "engine/kernels/encoder/encoder_run.h"
#include "engine/tscore/recorder.h"
#include "engine/tscore/samplers.h"

namespace lanthorn::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr const char* kTag = "[encoder_blocks]";

// What forward and backward need beside saved tensors.
struct Context : torch::CustomClassHolder {
  EncoderInputs inputs;  // without x
  const char* layer = "";
  bool gradients = false;
  EncoderWanted wanted;
  tscore::Recorder::Ptr recorder;
};

// What a report unpacks only when someone asks for more than squares: all gradients of the linear layers' outputs, by
// another backward. Holds no part of the graph, which holds the recorder.
struct Lazy {
  EncoderInputs inputs;
  EncoderTensors saved;
  at::Tensor grad_y;
  EncoderDeltaTensors deltas;

  at::Tensor Input(int linear) const {
    const EncoderLayout& l = inputs.layout;
    if (linear == kJoined) return inputs.x;
    const at::Tensor& own = saved[linear == kProjection ? kMixed : linear == kFirst ? kNormed1 : kHidden];
    return own.view({l.nodes, l.N, l.T, l.in(linear)});
  }
  at::Tensor Delta(int linear) {
    const EncoderLayout& l = inputs.layout;
    if (!deltas[0].defined()) deltas = EncoderDeltasOf(inputs, saved, grad_y);
    const at::Tensor& own = deltas[static_cast<size_t>(linear)];
    return (linear == kFirst ? own * saved[kSlope] : own).view({l.nodes, l.N, l.T, l.out(linear)});
  }
};

void Report(const Context& context, const EncoderGradients& gradients, const std::shared_ptr<Lazy>& lazy) {
  const auto report = [&](int parameter, std::unique_ptr<tscore::Use> use) {
    if (!context.wanted.parameters[static_cast<size_t>(parameter)]) return;
    context.recorder->Report(context.inputs.parameters[static_cast<size_t>(parameter)], context.layer, std::move(use));
  };
  for (int i = 0; i < kEncoderLinears; ++i) {
    const at::Tensor& squares = gradients.squares[static_cast<size_t>(i)];
    report(kEncoderWeights[i],
           tscore::LazyUse(squares[0], [lazy, i] { return tscore::StackedLinearUse(lazy->Input(i), lazy->Delta(i)); }));
    report(kEncoderBiases[i],
           tscore::LazyUse(squares[1], [lazy, i] { return tscore::StackedBiasUse(lazy->Delta(i)); }));
  }
  for (int which = 0; which < 2; ++which) {
    report(kNorm1Weight + which, tscore::StackedBiasUse(gradients.norms[0].select(2, which)));
    report(kNorm2Weight + which, tscore::StackedBiasUse(gradients.norms[1].select(2, which)));
  }
}

class EncoderFunction : public torch::autograd::Function<EncoderFunction> {
 public:
  // All parameters are arguments, so that autograd sees them, in the order of EncoderParameter.
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& a, const at::Tensor& b,
                            const at::Tensor& c, const at::Tensor& d, const at::Tensor& e, const at::Tensor& f,
                            const at::Tensor& g, const at::Tensor& h, const at::Tensor& i, const at::Tensor& j,
                            const at::Tensor& k, const at::Tensor& l, const c10::intrusive_ptr<Context>& context) {
    EncoderInputs inputs = context->inputs;
    inputs.x = x.contiguous();
    EncoderTensors saved;
    const at::Tensor y = RunEncoderForward(inputs, context->gradients ? &saved : nullptr);
    variable_list kept = {inputs.x, a, b, c, d, e, f, g, h, i, j, k, l};
    kept.insert(kept.end(), saved.begin(), saved.end());
    ctx->save_for_backward(kept);
    ctx->saved_data["context"] = c10::IValue::make_capsule(context);
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grad_outputs) {
    TORCH_CHECK(!at::GradMode::is_enabled(), kTag, " has no second derivative; use plain operators for create_graph");
    if (!grad_outputs[0].defined()) return variable_list(kEncoderParameters + 2);
    const auto context = c10::static_intrusive_pointer_cast<Context>(ctx->saved_data["context"].toCapsule());
    const variable_list kept = ctx->get_saved_variables();
    EncoderInputs inputs = context->inputs;
    const EncoderLayout& l = inputs.layout;
    inputs.x = kept[0].detach();
    for (size_t i = 0; i < kEncoderParameters; ++i) inputs.parameters[i] = kept[1 + i].detach();
    EncoderTensors saved;
    std::copy_n(kept.begin() + 1 + kEncoderParameters, saved.size(), saved.begin());
    at::Tensor grad_y = grad_outputs[0].contiguous();
    if (l.options.mean && l.nodes > 1) grad_y = grad_y.div(static_cast<double>(l.nodes));
    const EncoderGradients gradients = RunEncoderBackward(inputs, saved, grad_y, context->wanted);
    if (context->recorder != nullptr)
      Report(*context, gradients, std::make_shared<Lazy>(Lazy{inputs, saved, grad_y.detach(), {}}));
    variable_list result = {gradients.x};
    result.insert(result.end(), gradients.parameters.begin(), gradients.parameters.end());
    result.emplace_back();
    return result;
  }
};

void CheckShapes(const at::Tensor& x, const at::Tensor& padding, const EncoderParameters& p, const EncoderOptions& o) {
  for (const at::Tensor& parameter : p) {
    TORCH_CHECK(parameter.defined() && parameter.device() == x.device() && parameter.scalar_type() == x.scalar_type(),
                kTag, " all parameters must be ", x.scalar_type(), " on ", x.device(), " as the input");
  }
  TORCH_CHECK(p[kWeight1].dim() == 3, kTag, " weights must be (n, out, in), got ", p[kWeight1].sizes());
  const int64_t n = p[kWeight1].size(0), ff = p[kWeight1].size(1), d = p[kWeight1].size(2);
  const std::array<std::vector<int64_t>, kEncoderParameters> expected = {{{n, 3 * d, d},
                                                                          {n, 3 * d},
                                                                          {n, d, d},
                                                                          {n, d},
                                                                          {n, ff, d},
                                                                          {n, ff},
                                                                          {n, d, ff},
                                                                          {n, d},
                                                                          {n, d},
                                                                          {n, d},
                                                                          {n, d},
                                                                          {n, d}}};
  for (size_t i = 0; i < p.size(); ++i)
    TORCH_CHECK(p[i].sizes() == expected[i], kTag, " parameter ", i, " must be ", at::IntArrayRef(expected[i]),
                ", got ", p[i].sizes());
  TORCH_CHECK((x.dim() == 3 || (x.dim() == 4 && x.size(0) == n)) && x.size(-1) == d, kTag, " input must be (N, T, ", d,
              ") or (", n, ", N, T, ", d, "), got ", x.sizes());
  TORCH_CHECK(o.heads > 0 && d % o.heads == 0, kTag, " ", o.heads, " heads do not divide the width ", d);
  TORCH_CHECK(o.dropout >= 0 && o.dropout < 1, kTag, " dropout must be in [0, 1), got ", o.dropout);
  if (!padding.defined()) return;
  TORCH_CHECK(padding.scalar_type() == c10::kBool && padding.dim() == 2 && padding.size(0) == x.size(-3) &&
                  padding.size(1) == x.size(-2) && padding.device() == x.device(),
              kTag, " padding must be a bool (", x.size(-3), ", ", x.size(-2), ") on ", x.device(), ", got ",
              padding.scalar_type(), " ", padding.sizes(), " on ", padding.device());
}

}  // namespace

at::Tensor EncoderBlocks(const at::Tensor& x, const at::Tensor& padding, const EncoderParameters& parameters,
                         const EncoderOptions& options, const char* layer) {
  CheckShapes(x, padding, parameters, options);
  if (!x.device().is_cpu() || x.scalar_type() != c10::kFloat || x.numel() == 0 || parameters[kWeight1].numel() == 0)
    return EncoderBlocksReference(x, padding, parameters, options, layer);
  auto context = c10::make_intrusive<Context>();
  const at::Tensor& wide = parameters[kWeight1];
  context->inputs.layout = {wide.size(0), x.size(-3), x.size(-2), wide.size(2), wide.size(1), x.dim() == 3, options};
  context->inputs.keep = KeepOf(padding, x.options());
  context->inputs.parameters = parameters;
  context->layer = layer;
  context->wanted.x = x.requires_grad();
  bool trains = false;
  for (size_t i = 0; i < parameters.size(); ++i)
    trains = (context->wanted.parameters[i] = parameters[i].requires_grad()) || trains;
  context->gradients = at::GradMode::is_enabled() && (trains || context->wanted.x);
  if (context->gradients && trains) context->recorder = tscore::Recorder::Current();
  context->wanted.squares = context->recorder != nullptr;
  const EncoderParameters& p = parameters;
  return EncoderFunction::apply(x, p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10], p[11], context);
}

}  // namespace lanthorn::kernels
