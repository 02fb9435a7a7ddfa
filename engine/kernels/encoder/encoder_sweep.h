// The sweeps of fused transformer blocks over raw memory: some samples of one node at a time, through the kernels of
// the parts. No autograd and no threads.
#pragma once

#include <algorithm>
#include <array>

#include "engine/kernels/attention/attention_kernel.h"
#include "engine/kernels/encoder/encoder_blocks.h"
#include "engine/kernels/linear/stacked_linear_kernel.h"

namespace lanthorn::kernels {

// The block's linear layers, in the order of the forward.
enum EncoderLinear { kJoined, kProjection, kFirst, kSecond, kEncoderLinears };

// Rows of a chunk: what lies between a block's parts stays in L2 beside the weights. Weights that do not stay there
// are read from memory once for each chunk, so it takes more rows then. Rows of a group: their gradients stay in L3
// until the weights' gradients are added up.
inline constexpr int64_t kChunkRows = 96, kLargeChunkRows = 512, kGroupRows = 1024, kGroupSamples = 8;
inline constexpr int64_t kSmallWeights = 512 * 1024;  // floats of a block's linear layers

struct EncoderLayout {
  int64_t nodes, N, T, d, inner, ff;  // inner: all heads together
  bool shared;                        // one x for all nodes
  EncoderOptions options;
  Operands operands = Operands::kFloats;  // of the products with weights

  int64_t rows() const { return N * T; }
  int64_t in(int linear) const { return linear == kSecond ? ff : linear == kProjection ? inner : d; }
  int64_t out(int linear) const {
    return linear == kJoined ? 3 * inner : linear == kFirst ? (options.gated ? 2 * ff : ff) : d;
  }
  int64_t weights() const { return 4 * d * inner + d * ff + out(kFirst) * d; }  // about
  // The layout of a linear layer over some samples of one node, whose first row is `row` of all nodes' rows.
  LinearLayout Linear(int linear, int64_t samples, int64_t row) const;
  int64_t segments() const;  // of a sample, as NormLayout's
  int64_t group() const { return std::min(std::max(kGroupRows / T, kGroupSamples), N); }  // samples
  int64_t chunk(int64_t threads) const;                                                   // samples, at most a group
};

// Which samples of which node.
struct EncoderChunk {
  int64_t node, first, samples;
  int64_t Row(const EncoderLayout& l) const { return node * l.rows() + first * l.T; }  // of all nodes' rows
};

// Packed for the forward or for the backward, of all nodes. Null where there is none.
struct EncoderWeights {
  std::array<const float*, kEncoderLinears> weight, bias;  // PackForward or PackBackwardEach; PadBias
  std::array<const float*, 2> norm_weight, norm_bias;
};

// What the backward needs of a chunk's forward. All rows of the chunk only; null where the block has none.
struct EncoderActivations {
  float *qkv, *sums, *mixed;           // (rows, 3 inner); (samples, heads, T, 2), as Attention's; (rows, inner)
  float* attended;                     // (rows, d): x + drop(attend(...))
  float *statistics1, *normed1;        // (rows, 2), as AddNorm's; (rows, d): of attended, pre-norm: of x
  float *wide, *hidden, *slope;        // (rows, 2 ff), if gated; (rows, ff); d hidden / d z, if not gated
  float *fed, *statistics2, *normed2;  // (rows, d): post-norm, what norm2 norms; (rows, 2); (rows, d): pre-norm

  // A linear layer's input; of kJoined in post-norm the block's.
  const float* Input(int linear, const float* x) const {
    if (linear == kSecond) return hidden;
    if (linear == kProjection) return mixed;
    if (normed2 == nullptr) return linear == kFirst ? normed1 : x;
    return linear == kFirst ? normed2 : normed1;
  }
};

// x, y (rows of the chunk, d). keys: of the chunk's samples. work: (rows, d).
void EncoderForward(const EncoderLayout& layout, const EncoderWeights& weights, const EncoderChunk& chunk,
                    const float* x, const AttentionKeys& keys, const EncoderActivations& to, float* work, float* y);

// The gradients of the linear layers' outputs, (rows of the chunk, out) each; of linear1 before its activation.
using EncoderDeltas = std::array<float*, kEncoderLinears>;

struct EncoderBackwardMemory {
  const float *x, *grad_y;
  AttentionKeys keys;
  float* grad_bias_rows;             // (samples of the chunk, heads, ...), as AttentionBackward's
  float* grad_x;                     // (rows of the chunk, d)
  bool add;                          // to what grad_x holds
  bool want_x;                       // else grad_x is left half done
  std::array<float*, 2> norm_parts;  // (samples of the chunk, segments, 2, d); null without weights
  float* work;                       // EncoderBackwardWork floats
};
int64_t EncoderBackwardWork(const EncoderLayout& layout, int64_t rows);
void EncoderBackward(const EncoderLayout& layout, const EncoderWeights& weights, const EncoderChunk& chunk,
                     const EncoderActivations& from, const EncoderBackwardMemory& memory, const EncoderDeltas& deltas);

}  // namespace lanthorn::kernels
