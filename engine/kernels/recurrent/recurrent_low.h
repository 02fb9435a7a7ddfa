// The products of the recurrent kernel outside of its time loop, from bfloat16 operands. The same layout and the same
// results as the fp32 sweeps, up to rounding. The sum over samples has a fixed order; a product's own rounding is the
// library's, which blocks by the number of rows a thread has, so that other numbers of threads may round otherwise.
#pragma once

#include <ATen/core/Tensor.h>

#include "engine/kernels/gemm/low_product.h"
#include "engine/kernels/recurrent/recurrent_layout.h"

namespace lanthorn::kernels {

// Fills the gate slots with the projection of `input` (B, T, I) and `bias` (G, padded).
void LowProjectInput(const RecurrentLayout& layout, const Precision& precision, const at::Tensor& input,
                     const at::Tensor& w_ih, const at::Tensor& bias, const at::Tensor& activations);

// The gradient of the input, (B, T, I).
at::Tensor LowInputGradient(const RecurrentLayout& layout, const Precision& precision, const at::Tensor& activations,
                            const at::Tensor& w_ih);

// Writes the gradient of W_ih (or with `hidden` W_hh) to `weight` and, if `squares` is not null, || G_i ||^2 to it, (B)
// float64. rows (B, T, columns): what the weight was multiplied with.
void LowWeightGradient(const RecurrentLayout& layout, const Precision& precision, const at::Tensor& activations,
                       bool hidden, const at::Tensor& rows, const at::Tensor& weight, at::Tensor* squares);

// (G*H, columns) as (G*padded, columns), zeros behind each gate's last row.
at::Tensor PadGates(const RecurrentLayout& layout, const at::Tensor& weight);

}  // namespace lanthorn::kernels
