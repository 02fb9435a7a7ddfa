// The three sweeps of the fused recurrent kernel over raw memory, compiled per SIMD target: forward and backward over
// the time steps of some rows of the batch, and the weight gradients of some panels. No autograd, no threads, and no
// result depends on how rows or panels are shared out.
#pragma once

#include "engine/kernels/gemm/low_product.h"
#include "engine/kernels/gemm/panels.h"
#include "engine/kernels/recurrent/recurrent_layout.h"

namespace lanthorn::kernels {

struct ForwardMemory {
  const LowProduct* low;  // (padded gates) from h in a lower precision, instead of w_hh; or null
  const float* input;     // (B, T, I), or null: the gate slots hold the projection, or `table` does
  const float* w_ih;      // PackTransposed, with `input`
  const int64_t* ids;     // (B, T) rows of `table`, without `input`
  const float* table;     // (V, G, padded): the embedding's input projection with `bias`, without `input`
  const float* w_hh;      // PackTransposed
  const float* bias;      // (G, padded): what is added ahead: b_ih, and b_hh but for the GRU's n
  const float* b_hn;      // (padded) GRU only
  const float* h0;        // (B, H)
  const float* c0;        // (B, H), LSTM only
  float* activations;     // RecurrentLayout
  float* output;          // (B, T, H)
};
// The input projection and all steps of the samples [first, last).
void ForwardSamples(const RecurrentLayout& layout, const ForwardMemory& memory, int64_t first, int64_t last);

struct BackwardMemory {
  const LowProduct* low;     // (H) from the padded gates' gradients in a lower precision, instead of w_hh; or null
  const float* w_hh;         // PackPlain
  const float* h0;           // (B, H)
  const float* c0;           // (B, H), LSTM only
  const float* output;       // (B, T, H)
  const float* grad_output;  // (B, T, H)
  const float* grad_c;       // (B, H) or null: gradient of the last cell state
  float* activations;        // in: of the forward; out: gradients
  float* grad_h0;            // (B, H)
  float* grad_c0;            // (B, H), LSTM only
};
void BackwardSamples(const RecurrentLayout& layout, const BackwardMemory& memory, int64_t first, int64_t last);

// grad_input (B, T, I) of the samples [first, last) from the gradients in `activations`; w_ih from PackPlain.
void InputGradient(const RecurrentLayout& layout, const float* activations, const float* w_ih, float* grad_input,
                   int64_t first, int64_t last);

struct WeightMemory {
  const float* activations;  // after the backward
  const float* first_row;    // (B, inputs): what step 0 multiplied, or null: `rows` holds step 0 too
  const float* rows;         // (B, T, inputs): step t's row, or what step t + 1 multiplied when first_row is there
  int64_t inputs;            // columns of the weight
  bool hidden;               // gradient of W_hh (else W_ih): which slots to take
  float* weight;             // (G*H, inputs) or null
  float* bias;               // (G*H) or null
  double* weight_squares;    // (G * panels, B) or null: each panel's share of || G_i ||^2
  double* bias_squares;      // the same for the bias, or null
};
// The gradient of one weight and its bias over the panels [begin, end) of G * panels, sample by sample in their order.
void WeightGradient(const RecurrentLayout& layout, const WeightMemory& memory, int64_t begin, int64_t end);

// C (rows, columns) = A B + bias for the rows [begin, end): A's element (m, k) is at a[m * row + k * step], k < depth;
// B is packed in panels of `panel` floats, of which the first depth * P count; bias (columns, padded to panels) or
// null. Each element is added up in the order of k.
struct ProductMemory {
  const float* a;
  int64_t row, step, depth;
  const float* b;
  int64_t panel;
  const float* bias;
  float* c;
  int64_t columns;
};
void MultiplyRows(const ProductMemory& memory, int64_t begin, int64_t end);

// Adds up the gradients of W_ih x over the steps of a sample that share a row: row_of_step (B, T) numbers the rows of
// `sums` (rows, G * padded), zero before; no row belongs to two samples. Takes the samples [first, last).
void CollapseSteps(const RecurrentLayout& layout, const float* activations, const int64_t* row_of_step, float* sums,
                   int64_t first, int64_t last);
// to[ids[r]] += rows[r], in the order of r, for the columns [begin, end) of `width`.
void AddRows(const float* rows, const int64_t* ids, int64_t count, int64_t width, int64_t begin, int64_t end,
             float* to);

}  // namespace lanthorn::kernels