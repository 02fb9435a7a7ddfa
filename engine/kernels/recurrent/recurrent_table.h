// The input side of a recurrent layer that reads rows of a small table, such as an embedding of characters: the table
// is multiplied with W_ih instead of the B T rows picked from it (kernels/README.md). The same numbers up to the
// order of additions.
#pragma once

#include "engine/kernels/recurrent/recurrent_kernel.h"

namespace lanthorn::kernels {

// The input projection of each row of the table (V, I) with the biases added ahead (G, padded): (V, G*padded).
at::Tensor ProjectTable(const RecurrentLayout& layout, const at::Tensor& table, const at::Tensor& w_ih,
                        const at::Tensor& bias);

// Fills in the gradients of W_ih, b_ih and, if wanted, the table, from used-up activations, and their samples' squares.
void TableGradient(const RecurrentLayout& layout, const SequenceInput& input, const RecurrentWeights& weights,
                   const at::Tensor& activations, bool want_table, bool squares, RecurrentGradients* result);

}  // namespace lanthorn::kernels
