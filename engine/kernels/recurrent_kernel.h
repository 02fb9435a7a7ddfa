// The fused CPU kernel behind Recurrent: tensors in, tensors out, no autograd. float32 only.
#pragma once

#include <ATen/core/Tensor.h>

#include "engine/kernels/recurrent_layout.h"

namespace lanthorn::kernels {

struct RecurrentForward {
  at::Tensor output;       // (B, T, H)
  at::Tensor c;            // (B, H) last cell state, LSTM only
  at::Tensor activations;  // RecurrentLayout; the backward overwrites it
};

// All tensors contiguous float32 on the CPU; h0 and c0 defined (B, H).
RecurrentForward RunForward(Cell cell, const at::Tensor& input, const at::Tensor& h0, const at::Tensor& c0,
                            const RecurrentWeights& weights);

struct RecurrentGradients {
  at::Tensor input, h0, c0;                       // input is undefined unless wanted
  at::Tensor w_ih, w_hh, b_ih, b_hh;              // biases undefined without bias
  at::Tensor sq_w_ih, sq_w_hh, sq_b_ih, sq_b_hh;  // (B) float64, with `sample_squares`
};

// grad_output (B, T, H); grad_c (B, H) or undefined, LSTM only. `forward` is used up: its activations become gradients.
RecurrentGradients RunBackward(Cell cell, const at::Tensor& input, const at::Tensor& h0, const at::Tensor& c0,
                               const RecurrentWeights& weights, const RecurrentForward& forward,
                               const at::Tensor& grad_output, const at::Tensor& grad_c, bool want_input,
                               bool sample_squares);

// The gradients of W_ih x (or of W_hh h, with `hidden`), (B, T, G*H), from used-up activations.
at::Tensor Deltas(Cell cell, const at::Tensor& activations, const at::Tensor& output, bool hidden);

}  // namespace lanthorn::kernels
