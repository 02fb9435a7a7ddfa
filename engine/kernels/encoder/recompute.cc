#include "engine/kernels/encoder/recompute.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>

#include "engine/kernels/gemm/precision.h"
#include "engine/tscore/recorder.h"

namespace lanthorn::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

thread_local bool recomputing = false;

// What the second forward needs to be the first one again.
struct Context : torch::CustomClassHolder {
  RecomputedFunction f;
  Precision precision;
  tscore::Recorder::Ptr recorder;
};

class RecomputeFunction : public torch::autograd::Function<RecomputeFunction> {
 public:
  // Forward runs without a graph, and so nothing but these tensors is kept.
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, at::TensorList parameters,
                            const c10::intrusive_ptr<Context>& context) {
    variable_list kept = {x};
    kept.insert(kept.end(), parameters.begin(), parameters.end());
    ctx->save_for_backward(kept);
    ctx->saved_data["context"] = c10::IValue::make_capsule(context);
    return context->f(x);
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(),
                "[recompute] has no second derivative; leave activation checkpointing off for create_graph");
    const variable_list kept = ctx->get_saved_variables();
    variable_list result(kept.size() + 1);
    if (!gradients[0].defined()) return result;
    const auto context = c10::static_intrusive_pointer_cast<Context>(ctx->saved_data["context"].toCapsule());
    const at::Tensor x = kept[0].detach().set_requires_grad(kept[0].requires_grad());
    variable_list leaves;
    std::vector<size_t> places;  // of them in the result
    for (size_t i = 0; i < kept.size(); ++i) {
      if (!kept[i].requires_grad()) continue;
      leaves.push_back(i == 0 ? x : kept[i]);
      places.push_back(i);
    }
    at::Tensor y;
    {
      const at::AutoGradMode with_graph(true);
      const RecomputeScope whole(false);
      const PrecisionScope precision(context->precision);
      const tscore::Recorder::Resume reports(context->recorder);
      y = context->f(x);
    }
    const variable_list found = torch::autograd::grad({y}, leaves, {gradients[0]}, /*retain_graph=*/false,
                                                      /*create_graph=*/false, /*allow_unused=*/true);
    for (size_t i = 0; i < found.size(); ++i) result[places[i]] = found[i];
    return result;
  }
};

}  // namespace

RecomputeScope::RecomputeScope(bool on) : before_(std::exchange(recomputing, on)) {}
RecomputeScope::~RecomputeScope() { recomputing = before_; }
bool Recomputing() { return recomputing; }

at::Tensor Recomputed(const at::Tensor& x, const std::vector<at::Tensor>& parameters, const RecomputedFunction& f) {
  std::vector<at::Tensor> defined;
  for (const at::Tensor& parameter : parameters) {
    if (parameter.defined()) defined.push_back(parameter);
  }
  auto context = c10::make_intrusive<Context>();
  context->f = f;
  context->precision = CurrentPrecision();
  context->recorder = tscore::Recorder::Current();
  return RecomputeFunction::apply(x, at::TensorList(defined), context);
}

}  // namespace lanthorn::kernels
