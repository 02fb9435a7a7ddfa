#include "engine/kernels/linear/stacked_linear.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <string>

#include "engine/base/torch_compat.h"
#include "engine/kernels/gemm/panels.h"
#include "engine/kernels/linear/linear_pack.h"
#include "engine/kernels/linear/packed_weights.h"
#include "engine/kernels/linear/stacked_linear_kernel.h"
#include "engine/kernels/simd/for_threads.h"
#include "engine/tscore/recorder.h"
#include "engine/tscore/samplers.h"

namespace lanthorn::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using MaybeTensor = compat::Optional<at::Tensor>;

constexpr const char* kTag = "[stacked_linear]";

// What forward and backward need beside tensors: sizes, the open recorder, and the parameters as it knows them.
struct Context : torch::CustomClassHolder {
  LinearLayout layout;
  const char* layer = "";
  bool gradients = false, want_input = false;
  tscore::Recorder::Ptr recorder;
  at::Tensor weight, bias;
};

const float* Data(const at::Tensor& tensor) { return tensor.defined() ? tensor.data_ptr<float>() : nullptr; }
float* Mutable(const at::Tensor& tensor) { return tensor.defined() ? tensor.data_ptr<float>() : nullptr; }
bool Trainable(const at::Tensor& parameter) { return parameter.defined() && parameter.requires_grad(); }

class LinearFunction : public torch::autograd::Function<LinearFunction> {
 public:
  // x (rows of all inputs, in), weight (nodes * out, in) and bias (nodes * out) as they are asked for; y (nodes, N, K,
  // out).
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            const MaybeTensor& bias, const c10::intrusive_ptr<Context>& context) {
    const LinearLayout& l = context->layout;
    const at::Tensor input = x.contiguous(), matrix = weight.contiguous();
    const at::Tensor y = at::empty({l.nodes, l.N, l.K, l.out}, x.options());
    const at::Tensor slope = context->gradients && l.sloped() ? at::empty_like(y) : at::Tensor();
    const at::Tensor packed = PackWeight(PackedForm::kForward, l.options.operands, matrix, l.nodes, l.out, l.in),
                     padded = PadBias(bias ? bias->contiguous() : at::Tensor(), l.nodes, l.out);
    const LinearForwardMemory memory = {Data(input), Data(packed), Data(padded), Mutable(y), Mutable(slope)};
    const int64_t blocks = (l.rows() + kForwardRows - 1) / kForwardRows;
    ForThreads(l.nodes * blocks, [&](int64_t begin, int64_t end) { LinearForward(l, memory, begin, end); });
    ctx->save_for_backward({input, matrix, slope});
    ctx->saved_data["context"] = c10::IValue::make_capsule(context);
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), kTag, " has no second derivative; use plain operators for create_graph");
    const auto context = c10::static_intrusive_pointer_cast<Context>(ctx->saved_data["context"].toCapsule());
    const variable_list saved = ctx->get_saved_variables();
    if (!gradients[0].defined()) return {at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
    const LinearLayout& l = context->layout;
    const at::Tensor grad_y = gradients[0].contiguous(), &x = saved[0], &weight = saved[1], &slope = saved[2];
    const at::Tensor grad_x = context->want_input ? InputGradient(l, grad_y, slope, weight, x) : at::Tensor();
    const bool with_weight = Trainable(context->weight), with_bias = Trainable(context->bias);
    at::Tensor grad_weight, grad_bias;
    if (with_weight) grad_weight = at::empty_like(weight);
    if (with_bias) grad_bias = at::empty_like(context->bias, at::MemoryFormat::Contiguous);
    LinearWeightMemory memory = {Data(x), Data(grad_y), Data(slope), Mutable(grad_weight), Mutable(grad_bias),
                                 nullptr, nullptr,      l.N};
    const int64_t panels = l.nodes * Panels(l.out);
    at::Tensor squares;  // (2, panels, N)
    if (context->recorder != nullptr) {
      squares = at::zeros({2, panels, l.N}, c10::kDouble);
      memory.weight_squares = squares.data_ptr<double>();
      memory.bias_squares = memory.weight_squares + panels * l.N;
    }
    if (with_weight || with_bias)
      ForThreads(panels, [&](int64_t begin, int64_t end) { LinearWeightGradient(l, memory, begin, end); });
    if (squares.defined()) Report(*context, x, grad_y, slope, squares.sum(1));
    return {grad_x, grad_weight, grad_bias, at::Tensor()};
  }

 private:
  static at::Tensor InputGradient(const LinearLayout& l, const at::Tensor& grad_y, const at::Tensor& slope,
                                  const at::Tensor& weight, const at::Tensor& x) {
    const at::Tensor packed = PackWeight(PackedForm::kBackward, l.options.operands, weight, l.nodes, l.out, l.in),
                     grad_x = at::empty_like(x);
    const LinearInputMemory memory = {Data(grad_y), Data(slope), Data(packed), Mutable(grad_x)};
    const int64_t blocks = (l.rows() + kBackwardRows - 1) / kBackwardRows;
    ForThreads(l.shared ? blocks : l.nodes * blocks,
               [&](int64_t begin, int64_t end) { LinearInputGradient(l, memory, begin, end); });
    return grad_x;
  }

  // squares (2, N): of weight and bias. Tensors are detached: a report that held a part of the graph would keep it
  // alive for ever, since the graph holds the recorder.
  static void Report(const Context& context, const at::Tensor& x, const at::Tensor& grad_y, const at::Tensor& slope,
                     const at::Tensor& squares) {
    const LinearLayout& l = context.layout;
    const bool stacked = context.weight.dim() == 3;
    const at::Tensor rows = x.detach().view({-1, l.N, l.K, l.in}), input = l.shared ? rows[0] : rows;
    const auto delta = [grad_y = grad_y.detach().view({l.nodes, l.N, l.K, l.out}), slope] {
      return slope.defined() ? grad_y * slope : grad_y;
    };
    if (Trainable(context.weight)) {
      context.recorder->Report(context.weight, context.layer, tscore::LazyUse(squares[0], [=] {
                                 return stacked ? tscore::StackedLinearUse(input, delta())
                                                : tscore::LinearUse(input, delta()[0]);
                               }));
    }
    if (Trainable(context.bias)) {
      context.recorder->Report(context.bias, context.layer, tscore::LazyUse(squares[1], [=] {
                                 return stacked ? tscore::StackedBiasUse(delta()) : tscore::BiasUse(delta()[0], 1);
                               }));
    }
  }
};

void CheckShapes(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const LinearOptions& o) {
  const bool stacked = weight.dim() == 3;
  TORCH_CHECK(weight.dim() == 2 || stacked, kTag, " weight must be (out, in) or (n, out, in), got ", weight.sizes());
  const int64_t in = weight.size(-1);
  TORCH_CHECK(x.dim() >= 1 && x.size(-1) == in, kTag, " input must be (N, ..., ", in, "), got ", x.sizes());
  TORCH_CHECK(!stacked || x.dim() == 3 || (x.dim() == 4 && x.size(0) == weight.size(0)), kTag, " input for ",
              weight.size(0), " nodes must be (N, K, ", in, ") or (", weight.size(0), ", N, K, ", in, "), got ",
              x.sizes());
  TORCH_CHECK(!bias.defined() || bias.sizes() == weight.sizes().slice(0, static_cast<size_t>(weight.dim() - 1)), kTag,
              " bias must be ", weight.sizes().slice(0, static_cast<size_t>(weight.dim() - 1)), ", got ", bias.sizes());
  TORCH_CHECK(o.dropout >= 0 && o.dropout < 1, kTag, " dropout must be in [0, 1), got ", o.dropout);
  for (const at::Tensor& other : {weight, bias}) {
    TORCH_CHECK(!other.defined() || (other.device() == x.device() && other.scalar_type() == x.scalar_type()), kTag,
                " input is ", x.scalar_type(), " on ", x.device(), ", a parameter ", other.scalar_type(), " on ",
                other.device());
  }
}

LinearLayout LayoutOf(const at::Tensor& x, const at::Tensor& weight, const LinearOptions& options) {
  const bool stacked = weight.dim() == 3, shared = !stacked || x.dim() == 3;
  const int64_t first = shared ? 0 : 1, in = weight.size(-1);
  const int64_t N = x.dim() > first + 1 ? x.size(first) : 1;
  int64_t K = 1;
  for (int64_t dim = first + 1; dim + 1 < x.dim(); ++dim) K *= x.size(dim);
  return {stacked ? weight.size(0) : 1, N, K, in, weight.size(-2), shared, options};
}

at::Tensor Registered(const at::Tensor& x, const at::Tensor& weight, const MaybeTensor& bias, c10::string_view name,
                      double dropout, int64_t seed) {
  LinearOptions options = {Activation::kNone, dropout, seed};
  TORCH_CHECK(FromText(std::string(name.data(), name.size()), &options.activation), kTag,
              " activation must be none, gelu, gelu_tanh, relu or relu2, got '", name, "'");
  return StackedLinear(x, weight, bias ? *bias : at::Tensor(), options);
}

TORCH_LIBRARY_FRAGMENT(lanthorn, m) {
  m.def(
      "stacked_linear(Tensor x, Tensor weight, Tensor? bias=None, str activation='none', float dropout=0., int seed=0) "
      "-> Tensor",
      &Registered);
}

}  // namespace

bool FromText(const std::string& name, Activation* activation) {
  for (const auto& [text, value] : {std::pair{"none", Activation::kNone},
                                    {"gelu", Activation::kGelu},
                                    {"gelu_tanh", Activation::kGeluTanh},
                                    {"relu", Activation::kRelu},
                                    {"relu2", Activation::kRelu2}}) {
    if (name != text) continue;
    *activation = value;
    return true;
  }
  return false;
}

at::Tensor StackedLinear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                         const LinearOptions& options, const char* layer) {
  CheckShapes(x, weight, bias, options);
  if (!x.device().is_cpu() || x.scalar_type() != c10::kFloat || x.numel() == 0 || weight.numel() == 0)
    return StackedLinearReference(x, weight, bias, options, layer);
  auto context = c10::make_intrusive<Context>();
  context->layout = LayoutOf(x, weight, options);
  context->layer = layer;
  context->weight = weight;
  context->bias = bias;
  context->want_input = x.requires_grad();
  const bool parameters = Trainable(weight) || Trainable(bias);
  context->gradients = at::GradMode::is_enabled() && (parameters || x.requires_grad());
  if (context->gradients && parameters) {
    context->recorder = tscore::Recorder::Current();
    if (context->recorder != nullptr && x.dim() < 2) {
      context->recorder->Refuse(std::string(layer) + ": the input has no sample dimension");
      context->recorder = nullptr;
    }
  }
  const at::Tensor y = LinearFunction::apply(x, weight, bias.defined() ? MaybeTensor(bias) : compat::kNullopt, context);
  if (weight.dim() == 3) return y;
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes.back() = weight.size(0);
  return y.view(sizes);
}

}  // namespace lanthorn::kernels
