// Weights of linear layers as panels, for the sweeps of stacked_linear_kernel.h. All float32, contiguous, on the CPU.
#pragma once

#include <ATen/core/Tensor.h>

namespace lanthorn::kernels {

// weight (nodes * out, in) for products with W^T: (nodes, panels of out, in, P).
at::Tensor PackForward(const at::Tensor& weight, int64_t nodes, int64_t out, int64_t in);
// For products with W, the nodes' rows behind each other: (panels of in, nodes * out padded, P).
at::Tensor PackBackward(const at::Tensor& weight, int64_t nodes, int64_t out, int64_t in);
// The same for each node by itself: (nodes, panels of in, out padded, P).
at::Tensor PackBackwardEach(const at::Tensor& weight, int64_t nodes, int64_t out, int64_t in);
// bias (nodes * out), undefined where there is none: (nodes, out padded), zeros behind the last.
at::Tensor PadBias(const at::Tensor& bias, int64_t nodes, int64_t out);

}  // namespace lanthorn::kernels
