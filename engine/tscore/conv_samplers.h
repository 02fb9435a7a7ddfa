// Per-sample gradients of convolutions: as of a linear layer over the places that the kernel visits.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace lanthorn::tscore {

// One or two spatial dimensions.
struct ConvGeometry {
  std::vector<int64_t> stride, padding, dilation;  // one number for each spatial dimension
  int64_t groups = 1;
  bool transposed = false;
};

// y = conv(x, weight) + bias; x (N, C, [H,] W). weight (out, in / groups, kernel...), or transposed (in, out / groups,
// kernel...). What samplers.h says of its functions holds here too.
void SampleConv(const at::Tensor& y, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                const ConvGeometry& geometry, const char* layer);

}  // namespace lanthorn::tscore
