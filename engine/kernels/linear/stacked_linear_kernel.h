// The sweeps of fused linear layers over raw memory, compiled per SIMD target: no autograd, no threads, and no result
// depends on how rows or panels are shared out.
#pragma once

#include "engine/kernels/linear/stacked_linear.h"

namespace lanthorn::kernels {

struct LinearLayout {
  int64_t nodes, N, K, in, out;  // N samples of K rows
  bool shared;                   // one input for all nodes
  LinearOptions options;
  int64_t first_row = 0;  // the number that dropout gives to row 0
  int64_t rows() const { return N * K; }
  bool sloped() const { return options.activation != Activation::kNone || options.dropout > 0; }
  // The input row of a node's row 0.
  int64_t InputRow(int64_t node) const { return shared ? 0 : node * rows(); }
};

inline constexpr int64_t kForwardRows = 96, kBackwardRows = 96;  // of a part of the work

struct LinearForwardMemory {
  const float* x;       // (1 or nodes, rows, in)
  const float* weight;  // PackTransposed of (nodes * out, places of in) with one gate for each node
  const float* bias;    // (nodes, out padded to panels), or null
  float* y;             // (nodes, rows, out)
  float* slope;         // (nodes, rows, out): d y / d z, if sloped and wanted; or null
};
// Parts are (node, block of kForwardRows rows), the block fastest.
void LinearForward(const LinearLayout& layout, const LinearForwardMemory& memory, int64_t begin, int64_t end);

struct LinearInputMemory {
  const float* grad_y;           // (nodes, rows, out)
  const float* slope;            // (nodes, rows, out) or null
  const float* weight;           // PackPlain of (nodes * out, in) with one gate for each node
  float* grad_x;                 // (1 or nodes, rows, in)
  bool add = false;              // to what grad_x holds
  const float* times = nullptr;  // (rows, in): what grad_x gets is multiplied by it; of one node, without `add`
};
// Parts are blocks of kBackwardRows rows with all nodes for a shared input, else (node, block), the block fastest.
void LinearInputGradient(const LinearLayout& layout, const LinearInputMemory& memory, int64_t begin, int64_t end);

struct LinearWeightMemory {
  const float *x, *grad_y, *slope;
  float* weight;  // (nodes, out, in) or null
  float* bias;    // (nodes, out) or null
  double*
      weight_squares;    // (nodes * panels of out, square_row), zero before, or null: each panel's share of || G_i ||^2
  double* bias_squares;  // the same for the bias, or null
  int64_t square_row;    // from one panel's squares to the next: N, or more
  bool add = false;      // to what weight and bias hold
};
// Parts are the panels of all nodes' outputs. Without squares rows are taken together across samples.
void LinearWeightGradient(const LinearLayout& layout, const LinearWeightMemory& memory, int64_t begin, int64_t end);

}  // namespace lanthorn::kernels
