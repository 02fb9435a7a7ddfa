// The fused CPU kernel behind Recurrent: raw memory in, raw memory out, no autograd. Instantiated for float and double.
#pragma once

#include <ATen/core/Tensor.h>

#include "engine/kernels/recurrent.h"

namespace lanthorn::kernels {

struct RecurrentForward {
  at::Tensor output;  // (B, T, H)
  at::Tensor gates;   // (B, T, G*H) activated gates, kept for the backward
  at::Tensor extra;   // (B, T, H) GRU: W_hn h + b_hn; LSTM: cell states
};

// All tensors contiguous, of one dtype, on the CPU; h0 and c0 defined (B, H).
RecurrentForward RunForward(Cell cell, const at::Tensor& input, const at::Tensor& h0, const at::Tensor& c0,
                            const RecurrentWeights& weights);

struct RecurrentGradients {
  at::Tensor input, h0, c0;                       // input is undefined unless wanted
  at::Tensor w_ih, w_hh, b_ih, b_hh;              // biases undefined without bias
  at::Tensor delta_ih, delta_hh;                  // (B, T, G*H), the same tensor for the LSTM
  at::Tensor h_before;                            // (B, T, H)
  at::Tensor sq_w_ih, sq_w_hh, sq_b_ih, sq_b_hh;  // (B) float64, with `sample_squares`
};

// grad_output (B, T, H); grad_c (B, H) or undefined, LSTM only.
RecurrentGradients RunBackward(Cell cell, const at::Tensor& input, const at::Tensor& h0, const at::Tensor& c0,
                               const RecurrentWeights& weights, const RecurrentForward& forward,
                               const at::Tensor& grad_output, const at::Tensor& grad_c, bool want_input,
                               bool sample_squares);

}  // namespace lanthorn::kernels
