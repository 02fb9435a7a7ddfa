// The fused CPU kernel behind Recurrent: tensors in, tensors out, no autograd. float32 only.
#pragma once

#include <ATen/core/Tensor.h>

#include "engine/kernels/gemm/precision.h"
#include "engine/kernels/recurrent/recurrent_layout.h"

namespace lanthorn::kernels {

// What the layer reads: `values` (B, T, I); or, with `ids` (B, T) int64 of its rows, the table `values` (V, I), which
// is then multiplied with W_ih instead of the B T rows.
struct SequenceInput {
  at::Tensor values, ids;
  const at::Tensor& shape() const { return ids.defined() ? ids : values; }
};

struct RecurrentForward {
  at::Tensor output;       // (B, T, H)
  at::Tensor c;            // (B, H) last cell state, LSTM only
  at::Tensor activations;  // RecurrentLayout; the backward overwrites it
};

// All tensors contiguous float32 on the CPU; h0 and c0 defined (B, H); ids inside of the table.
RecurrentForward RunForward(Cell cell, const SequenceInput& input, const at::Tensor& h0, const at::Tensor& c0,
                            const RecurrentWeights& weights, const Precision& precision);

struct RecurrentGradients {
  at::Tensor input, h0, c0;           // input: of SequenceInput::values; undefined unless wanted
  at::Tensor w_ih, w_hh, b_ih, b_hh;  // biases undefined without bias
  // || G_i ||^2 per sample, (B) float64, with `sample_squares`; of the input only for a table.
  at::Tensor sq_input, sq_w_ih, sq_w_hh, sq_b_ih, sq_b_hh;
};

// What a backward begins with, and what it is to give beyond the weights' gradients.
struct RecurrentAsked {
  at::Tensor grad_output;       // (B, T, H)
  at::Tensor grad_c;            // (B, H) or undefined, LSTM only
  bool want_input = true;       // RecurrentGradients::input
  bool sample_squares = false;  // RecurrentGradients::sq_*
};

// `forward` is used up: its activations become gradients.
RecurrentGradients RunBackward(Cell cell, const SequenceInput& input, const at::Tensor& h0, const at::Tensor& c0,
                               const RecurrentWeights& weights, const RecurrentForward& forward,
                               const RecurrentAsked& asked, const Precision& precision);

// What W_hh was multiplied with, (B, T, H).
at::Tensor RowsBefore(const at::Tensor& h0, const at::Tensor& output);

// The gradients of W_ih x (or of W_hh h, with `hidden`), (B, T, G*H), from used-up activations.
at::Tensor Deltas(Cell cell, const at::Tensor& activations, const at::Tensor& output, bool hidden);

}  // namespace lanthorn::kernels
