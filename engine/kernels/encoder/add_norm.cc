#include "engine/kernels/encoder/add_norm.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <string>
#include <tuple>

#include "engine/base/torch_compat.h"
#include "engine/kernels/encoder/add_norm_kernel.h"
#include "engine/kernels/simd/for_threads.h"
#include "engine/tscore/recorder.h"
#include "engine/tscore/samplers.h"

namespace lanthorn::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using MaybeTensor = compat::Optional<at::Tensor>;

constexpr const char* kTag = "[add_norm]";

// What the backward needs beside tensors: sizes, the open recorder, and the parameters as it knows them.
struct Context : torch::CustomClassHolder {
  NormLayout layout;
  const char* layer = "";
  tscore::Recorder::Ptr recorder;
  at::Tensor weight, bias;
};

const float* Data(const at::Tensor& tensor) { return tensor.defined() ? tensor.data_ptr<float>() : nullptr; }
float* Mutable(const at::Tensor& tensor) { return tensor.defined() ? tensor.data_ptr<float>() : nullptr; }
bool Trainable(const at::Tensor& parameter) { return parameter.defined() && parameter.requires_grad(); }
bool IsStacked(const at::Tensor& weight) { return weight.defined() && weight.dim() == 2; }

class NormFunction : public torch::autograd::Function<NormFunction> {
 public:
  // Gives {normed} without y, else {normed, sum}; both (nodes, N, K, d) in memory, in the shape of y or x.
  static variable_list forward(AutogradContext* ctx, const at::Tensor& x, const MaybeTensor& y,
                               const MaybeTensor& weight, const MaybeTensor& bias,
                               const c10::intrusive_ptr<Context>& context) {
    const NormLayout& l = context->layout;
    const at::Tensor input = x.contiguous(), added = y ? y->contiguous() : at::Tensor();
    const at::Tensor scale = weight ? weight->contiguous() : at::Tensor(),
                     shift = bias ? bias->contiguous() : at::Tensor();
    const std::vector<int64_t> sizes = SizesOf(l, y ? *y : x, context->weight);
    const at::Tensor normed = at::empty(sizes, x.options()), sum = y ? at::empty(sizes, x.options()) : at::Tensor();
    const at::Tensor statistics = at::empty({l.nodes * l.rows(), 2}, x.options());
    const NormForwardMemory memory = {Data(input),  Data(added),     Data(scale),        Data(shift),
                                      Mutable(sum), Mutable(normed), Mutable(statistics)};
    ForThreads(l.nodes * l.rows(), [&](int64_t begin, int64_t end) { NormForward(l, memory, begin, end); });
    ctx->set_materialize_grads(false);  // of two outputs one is often not used
    ctx->save_for_backward({y ? sum : input, scale, statistics});
    ctx->saved_data["context"] = c10::IValue::make_capsule(context);
    ctx->saved_data["with_y"] = y.has_value();
    return y ? variable_list{normed, sum} : variable_list{normed};
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), kTag, " has no second derivative; use plain operators for create_graph");
    const auto context = c10::static_intrusive_pointer_cast<Context>(ctx->saved_data["context"].toCapsule());
    const variable_list saved = ctx->get_saved_variables();
    const bool with_y = ctx->saved_data["with_y"].toBool();
    NormLayout l = context->layout;
    if (context->recorder == nullptr) l.K = l.rows(), l.N = 1;  // segments need not end with a sample
    if (!gradients[0].defined() && (gradients.size() < 2 || !gradients[1].defined())) return variable_list(5);
    const auto contiguous = [](const at::Tensor& tensor) { return tensor.defined() ? tensor.contiguous() : tensor; };
    // A sum over nodes gives all of them the same gradient.
    const at::Tensor& given = gradients[0];
    const bool grad_shared = given.defined() && given.dim() == 4 && l.nodes > 1 && given.stride(0) == 0;
    const at::Tensor grad_normed = contiguous(grad_shared ? given.select(0, 0) : given),
                     grad_sum = gradients.size() > 1 ? contiguous(gradients[1]) : at::Tensor();
    const at::Tensor &sum = saved[0], &scale = saved[1], &statistics = saved[2];
    const at::Tensor grad_x = at::empty({l.shared ? 1 : l.nodes, l.rows(), l.d}, sum.options());
    const at::Tensor grad_y = with_y ? at::empty_like(sum) : at::Tensor();
    const at::Tensor parts =
        scale.defined() ? at::empty({l.nodes, l.N, l.segments(), 2, l.d}, sum.options()) : at::Tensor();
    const NormBackwardMemory memory = {Data(sum),         with_y,        Data(scale),    Data(statistics),
                                       Data(grad_normed), grad_shared,   Data(grad_sum), Mutable(grad_x),
                                       Mutable(grad_y),   Mutable(parts)};
    ForThreads(l.shared ? l.parts() : l.nodes * l.parts(),
               [&](int64_t begin, int64_t end) { NormBackward(l, memory, begin, end); });
    std::vector<int64_t> sizes = sum.sizes().vec();
    if (IsStacked(context->weight) && l.shared) sizes = {context->layout.N, context->layout.K, l.d};
    if (!scale.defined()) return {grad_x.view(sizes), grad_y, at::Tensor(), at::Tensor(), at::Tensor()};
    const at::Tensor samples = parts.sum(2);  // (nodes, N, 2, d)
    if (context->recorder != nullptr) Report(*context, samples);
    const at::Tensor total = samples.sum(1).view({l.nodes, 2, l.d});
    const auto of = [&](const at::Tensor& parameter, int64_t which) {
      return Trainable(parameter) ? total.select(1, which).reshape(parameter.sizes()) : at::Tensor();
    };
    return {grad_x.view(sizes), grad_y, of(context->weight, 0), of(context->bias, 1), at::Tensor()};
  }

 private:
  static std::vector<int64_t> SizesOf(const NormLayout& l, const at::Tensor& like, const at::Tensor& weight) {
    return IsStacked(weight) ? std::vector<int64_t>{l.nodes, l.N, l.K, l.d} : like.sizes().vec();
  }

  // samples (nodes, N, 2, d): the samples' gradients themselves.
  static void Report(const Context& context, const at::Tensor& samples) {
    const auto report = [&](const at::Tensor& parameter, int64_t which) {
      if (!Trainable(parameter)) return;
      const at::Tensor own = samples.select(2, which);  // (nodes, N, d)
      context.recorder->Report(parameter, context.layer,
                               parameter.dim() == 2 ? tscore::StackedBiasUse(own) : tscore::BiasUse(own[0], 1));
    };
    report(context.weight, 0);
    report(context.bias, 1);
  }
};

void CheckShapes(const at::Tensor& x, const at::Tensor& y, const at::Tensor& weight, const at::Tensor& bias,
                 const NormOptions& o) {
  const bool stacked = IsStacked(weight);
  TORCH_CHECK(!weight.defined() || weight.dim() == 1 || stacked, kTag, " weight must be (d) or (n, d), got ",
              weight.sizes());
  TORCH_CHECK(weight.defined() || !bias.defined(), kTag, " a bias needs a weight beside it");
  TORCH_CHECK(x.dim() >= 1, kTag, " x must be (N, ..., d), got ", x.sizes());
  const int64_t d = weight.defined() ? weight.size(-1) : x.size(-1);
  TORCH_CHECK(x.size(-1) == d && d > 0, kTag, " x must be (N, ..., ", d, "), got ", x.sizes());
  const bool fits = !y.defined() || y.sizes() == x.sizes() || (stacked && y.dim() == 4 && y[0].sizes() == x.sizes());
  TORCH_CHECK(fits, kTag, " y must have the shape of x, ", x.sizes(), stacked ? " (or that for each node)" : "",
              ", got ", y.defined() ? y.sizes() : x.sizes());
  if (stacked) {
    const at::Tensor& most = y.defined() ? y : x;
    TORCH_CHECK((!y.defined() && x.dim() == 3) || (most.dim() == 4 && most.size(0) == weight.size(0)), kTag,
                " input for ", weight.size(0), " nodes must be (", weight.size(0), ", N, K, ", d, "), got ",
                most.sizes());
  }
  TORCH_CHECK(!bias.defined() || bias.sizes() == weight.sizes(), kTag, " bias must be ", weight.sizes(), ", got ",
              bias.sizes());
  TORCH_CHECK(o.dropout >= 0 && o.dropout < 1, kTag, " dropout must be in [0, 1), got ", o.dropout);
  for (const at::Tensor& other : {y, weight, bias}) {
    TORCH_CHECK(!other.defined() || (other.device() == x.device() && other.scalar_type() == x.scalar_type()), kTag,
                " x is ", x.scalar_type(), " on ", x.device(), ", another argument ", other.scalar_type(), " on ",
                other.device());
  }
}

NormLayout LayoutOf(const at::Tensor& x, const at::Tensor& weight, const NormOptions& options) {
  const bool stacked = IsStacked(weight), shared = !stacked || x.dim() == 3;
  const int64_t first = shared ? 0 : 1;
  const int64_t N = x.dim() > first + 1 ? x.size(first) : 1;
  int64_t K = 1;
  for (int64_t dim = first + 1; dim + 1 < x.dim(); ++dim) K *= x.size(dim);
  return {stacked ? weight.size(0) : 1, N, K, x.size(-1), shared, options};
}

std::tuple<at::Tensor, at::Tensor> Registered(const at::Tensor& x, const MaybeTensor& y, const MaybeTensor& weight,
                                              const MaybeTensor& bias, bool rms, double eps, double dropout,
                                              int64_t seed) {
  const auto or_none = [](const MaybeTensor& tensor) { return tensor ? *tensor : at::Tensor(); };
  const AddNormOutput output = AddNorm(x, or_none(y), or_none(weight), or_none(bias), {rms, eps, dropout, seed});
  return {output.normed, output.sum};
}

TORCH_LIBRARY_FRAGMENT(lanthorn, m) {
  m.def(
      "add_norm(Tensor x, Tensor? y, Tensor? weight, Tensor? bias=None, bool rms=False, float eps=1e-05, float "
      "dropout=0., int seed=0) -> (Tensor normed, Tensor sum)",
      &Registered);
}

}  // namespace

AddNormOutput AddNorm(const at::Tensor& x, const at::Tensor& y, const at::Tensor& weight, const at::Tensor& bias,
                      const NormOptions& options, const char* layer) {
  CheckShapes(x, y, weight, bias, options);
  if (!x.device().is_cpu() || x.scalar_type() != c10::kFloat || x.numel() == 0)
    return AddNormReference(x, y, weight, bias, options, layer);
  auto context = c10::make_intrusive<Context>();
  context->layout = LayoutOf(x, weight, options);
  context->layer = layer;
  context->weight = weight;
  context->bias = bias;
  if (at::GradMode::is_enabled() && (Trainable(weight) || Trainable(bias))) {
    context->recorder = tscore::Recorder::Current();
    if (context->recorder != nullptr && x.dim() < 2) {
      context->recorder->Refuse(std::string(layer) + ": the input has no sample dimension");
      context->recorder = nullptr;
    }
  }
  const auto maybe = [](const at::Tensor& tensor) { return tensor.defined() ? MaybeTensor(tensor) : compat::kNullopt; };
  const variable_list outputs = NormFunction::apply(x, maybe(y), maybe(weight), maybe(bias), context);
  return {y.defined() ? outputs[1] : x, outputs[0]};
}

}  // namespace lanthorn::kernels
