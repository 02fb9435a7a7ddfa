// The sweeps of fused encoder blocks over raw memory: some samples of one node at a time, through the kernels of the
// parts. No autograd and no threads.
#pragma once

#include <algorithm>
#include <array>

#include "engine/kernels/encoder/encoder_blocks.h"
#include "engine/kernels/linear/stacked_linear_kernel.h"

namespace lanthorn::kernels {

// The block's linear layers, in the order of the forward.
enum EncoderLinear { kJoined, kProjection, kFirst, kSecond, kEncoderLinears };

// Rows of a chunk: what lies between a block's parts stays in L2 beside the weights. Rows of a group: their gradients
// stay in L3 until the weights' gradients are added up.
inline constexpr int64_t kChunkRows = 96, kGroupRows = 1024;

struct EncoderLayout {
  int64_t nodes, N, T, d, ff;
  bool shared;  // one x for all nodes
  EncoderOptions options;

  int64_t rows() const { return N * T; }
  int64_t width() const { return d / options.heads; }
  int64_t in(int linear) const { return linear == kSecond ? ff : d; }
  int64_t out(int linear) const { return linear == kJoined ? 3 * d : linear == kFirst ? ff : d; }
  // The layout of a linear layer over some samples of one node, whose first row is `row` of all nodes' rows.
  LinearLayout Linear(int linear, int64_t samples, int64_t row) const;
  int64_t segments() const;                                               // of a sample, as NormLayout's
  int64_t chunk() const { return std::max<int64_t>(1, kChunkRows / T); }  // samples
  int64_t group() const { return std::max<int64_t>(chunk(), kGroupRows / T / chunk() * chunk()); }  // samples
};

// Which samples of which node.
struct EncoderChunk {
  int64_t node, first, samples;
  int64_t Row(const EncoderLayout& l) const { return node * l.rows() + first * l.T; }  // of all nodes' rows
};

// Packed for the forward or for the backward, of all nodes.
struct EncoderWeights {
  std::array<const float*, kEncoderLinears> weight, bias;  // PackForward or PackBackwardEach; PadBias
  const float *norm1_weight, *norm1_bias, *norm2_weight, *norm2_bias;
};

// What the backward needs of a chunk's forward. All rows of the chunk only.
struct EncoderActivations {
  float *qkv, *sums, *mixed;            // (rows, 3 d); (samples, heads, T, 2), as Attention's; (rows, d)
  float *sum1, *statistics1, *normed1;  // (rows, d); (rows, 2), as AddNorm's; (rows, d)
  float *hidden, *slope;                // (rows, ff); d hidden / d z, or null
  float *sum2, *statistics2;
};

// x, y (rows of the chunk, d). keep: (samples of the chunk, AttentionColumns(T)) or null. work: (rows, d).
void EncoderForward(const EncoderLayout& layout, const EncoderWeights& weights, const EncoderChunk& chunk,
                    const float* x, const float* keep, const EncoderActivations& to, float* work, float* y);

// The gradients of the linear layers' outputs, (rows of the chunk, out) each; of linear1 before its slope.
using EncoderDeltas = std::array<float*, kEncoderLinears>;

struct EncoderBackwardMemory {
  const float *keep, *grad_y;
  float* grad_x;                     // (rows of the chunk, d)
  bool add;                          // to what grad_x holds
  bool want_x;                       // else grad_x is left half done
  float *norm1_parts, *norm2_parts;  // (samples of the chunk, segments, 2, d)
  float* work;                       // (2, rows, d)
};
void EncoderBackward(const EncoderLayout& layout, const EncoderWeights& weights, const EncoderChunk& chunk,
                     const EncoderActivations& from, const EncoderBackwardMemory& memory, const EncoderDeltas& deltas);

}  // namespace lanthorn::kernels
