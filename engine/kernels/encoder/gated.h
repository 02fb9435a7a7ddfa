// The gate between the linear layers of a SwiGLU block (Shazeer 2020).
#pragma once

#include <ATen/core/Tensor.h>

namespace lanthorn::kernels {

// drop(silu(a) * b) with a and b the halves of the last dimension of `wide`; the dropout as SeededDropout of the
// result. float32 on the CPU goes through the fused sweep, with the bits that it has inside of EncoderBlocks and without
// a second derivative; everything else through plain operators.
at::Tensor Gated(const at::Tensor& wide, double dropout, int64_t seed);

}  // namespace lanthorn::kernels
