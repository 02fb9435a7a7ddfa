#include "engine/kernels/encoder/gated.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <vector>

#include "engine/kernels/encoder/dropout.h"
#include "engine/kernels/encoder/gated_kernel.h"
#include "engine/kernels/simd/for_threads.h"

namespace lanthorn::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Calls body(layout of some rows, the first of them) for all rows of wide (..., 2 width).
template <class Body>
void ForRows(const at::Tensor& wide, double dropout, int64_t seed, const Body& body) {
  const int64_t width = wide.size(-1) / 2, rows = wide.numel() / (2 * width);
  ForThreads(rows, [&](int64_t begin, int64_t end) {
    body(GatedLayout{end - begin, width, dropout, seed, begin}, begin);
  });
}

class GatedFunction : public torch::autograd::Function<GatedFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& wide, double dropout, int64_t seed) {
    const at::Tensor rows = wide.contiguous();
    std::vector<int64_t> sizes = rows.sizes().vec();
    sizes.back() /= 2;
    const at::Tensor hidden = at::empty(sizes, rows.options());
    ForRows(rows, dropout, seed, [&](const GatedLayout& l, int64_t first) {
      GatedForward(l, rows.data_ptr<float>() + first * 2 * l.width, hidden.data_ptr<float>() + first * l.width);
    });
    ctx->save_for_backward({rows});
    ctx->saved_data["dropout"] = dropout;
    ctx->saved_data["seed"] = seed;
    return hidden;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "[gated] has no second derivative; use plain operators for create_graph");
    if (!gradients[0].defined()) return variable_list(3);
    const at::Tensor rows = ctx->get_saved_variables()[0], grad = gradients[0].contiguous();
    const at::Tensor grad_rows = at::empty_like(rows);
    ForRows(rows, ctx->saved_data["dropout"].toDouble(), ctx->saved_data["seed"].toInt(),
            [&](const GatedLayout& l, int64_t first) {
              GatedBackward(l, rows.data_ptr<float>() + first * 2 * l.width, grad.data_ptr<float>() + first * l.width,
                            grad_rows.data_ptr<float>() + first * 2 * l.width);
            });
    return {grad_rows, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor Gated(const at::Tensor& wide, double dropout, int64_t seed) {
  TORCH_CHECK(wide.dim() >= 1 && wide.size(-1) % 2 == 0, "[gated] the last dimension must be two halves, got ",
              wide.sizes());
  if (!wide.device().is_cpu() || wide.scalar_type() != c10::kFloat || wide.numel() == 0) {
    const std::vector<at::Tensor> halves = wide.chunk(2, -1);
    return SeededDropout(at::silu(halves[0]) * halves[1], dropout, seed);
  }
  return GatedFunction::apply(wide, dropout, seed);
}

}  // namespace lanthorn::kernels
