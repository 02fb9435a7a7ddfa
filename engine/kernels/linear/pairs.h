// Weights of linear layers as pairs of bfloat16 numbers (simd/operands.h), and whether they are worth it on this CPU.
#pragma once

#include <ATen/core/Tensor.h>

#include "engine/base/status.h"
#include "engine/kernels/gemm/precision.h"
#include "engine/kernels/simd/operands.h"

namespace lanthorn::kernels {

// What the fused linear layers of transformer blocks multiply in that precision. There is no fp32_split of them.
Operands OperandsOf(const Precision& precision);

// weight (parts * out, in) with pairs along its rows, for products with W^T: (parts * out, places of in); and along its
// columns, for products with W: (parts * places of out, in). float32, contiguous, on the CPU; so is the result, whose
// floats are places.
at::Tensor PairsAlongIn(const at::Tensor& weight, int64_t rows, int64_t in);
at::Tensor PairsAlongOut(const at::Tensor& weight, int64_t parts, int64_t out, int64_t in);

// Whether this CPU multiplies pairs by an instruction of its own.
bool HasNativePairs();
// How many times as fast as fp32 products those of pairs are, as the tile multiplies from L1 on one thread: measured,
// once in a process. Some CPUs have the instruction and gain nothing by it.
double PairGain();
// OK where native pairs gain; else an error that says what is missing, or what was measured, and what to use instead.
absl::Status CheckPairs();

}  // namespace lanthorn::kernels
