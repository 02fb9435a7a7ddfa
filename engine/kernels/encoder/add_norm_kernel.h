// The sweeps of the fused residual step over raw memory, compiled per SIMD target: no autograd, no threads. Rows share
// nothing but the gradients of weight and bias, which are summed in segments of rows.
#pragma once

#include "engine/kernels/encoder/add_norm.h"

namespace lanthorn::kernels {

inline constexpr int64_t kSegmentRows = 64;

struct NormLayout {
  int64_t nodes, N, K, d;  // N groups of K rows: samples, or all rows as one group
  bool shared;             // one x for all nodes
  NormOptions options;
  int64_t first_row = 0;  // the number that dropout gives to row 0
  int64_t rows() const { return N * K; }
  int64_t segments() const { return (K + kSegmentRows - 1) / kSegmentRows; }  // of a group
  int64_t parts() const { return N * segments(); }                            // of a node
};

struct NormForwardMemory {
  const float* x;              // (1 or nodes, rows, d)
  const float* y;              // (nodes, rows, d) or null
  const float *weight, *bias;  // (nodes, d), or null
  float* sum;                  // (nodes, rows, d), or null without y
  float* normed;               // (nodes, rows, d), or null: the sum alone is wanted
  float* statistics;           // (nodes, rows, 2): mean and 1 / deviation; null without normed
};
// Takes the rows [begin, end) of all nodes' rows.
void NormForward(const NormLayout& layout, const NormForwardMemory& memory, int64_t begin, int64_t end);

struct NormBackwardMemory {
  const float* sum = nullptr;  // (nodes, rows, d), or x (1 or nodes, rows, d) without y; null without grad_normed
  bool with_y = false;
  const float* weight = nullptr;       // or null
  const float* statistics = nullptr;   // null without grad_normed
  const float* grad_normed = nullptr;  // (1 or nodes, rows, d) or null
  bool grad_shared = false;            // one grad_normed for all nodes
  const float* grad_sum = nullptr;     // the same or null
  float* grad_x = nullptr;             // (1 or nodes, rows, d), or null
  float* grad_y = nullptr;             // (nodes, rows, d) or null
  // (nodes, parts, 2, d): each segment's gradients of weight and bias; null without a weight or without grad_normed
  float* parameters = nullptr;
  bool add = false;  // to what grad_x holds
};
// Takes the parts [begin, end) of all nodes' rows; with a shared x, those parts of every node.
void NormBackward(const NormLayout& layout, const NormBackwardMemory& memory, int64_t begin, int64_t end);

}  // namespace lanthorn::kernels
