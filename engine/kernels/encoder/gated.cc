#include "engine/kernels/encoder/gated.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <vector>

#include "engine/kernels/encoder/dropout.h"
#include "engine/kernels/encoder/gated_kernel.h"

namespace lanthorn::kernels {

at::Tensor Gated(const at::Tensor& wide, double dropout, int64_t seed) {
  TORCH_CHECK(wide.dim() >= 1 && wide.size(-1) % 2 == 0, "[gated] the last dimension must be two halves, got ",
              wide.sizes());
  const bool gradient = at::GradMode::is_enabled() && wide.requires_grad();
  if (gradient || !wide.device().is_cpu() || wide.scalar_type() != c10::kFloat || wide.numel() == 0) {
    const std::vector<at::Tensor> halves = wide.chunk(2, -1);
    return SeededDropout(at::silu(halves[0]) * halves[1], dropout, seed);
  }
  const at::Tensor rows = wide.contiguous();
  std::vector<int64_t> sizes = rows.sizes().vec();
  sizes.back() /= 2;
  const at::Tensor hidden = at::empty(sizes, rows.options());
  const GatedLayout layout = {hidden.numel() / sizes.back(), sizes.back(), dropout, seed, /*first_row=*/0};
  GatedForward(layout, rows.data_ptr<float>(), hidden.data_ptr<float>());
  return hidden;
}

}  // namespace lanthorn::kernels
