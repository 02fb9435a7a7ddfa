// Multi-head self-attention from joined queries, keys and values (Vaswani et al. 2017):
// softmax(Q K^T / sqrt(d / heads)) V for every head.
#pragma once

#include <ATen/core/Tensor.h>

#include "engine/kernels/attention/relation_bias.h"

namespace lanthorn::kernels {

struct AttentionOptions {
  int64_t heads = 1;
  bool causal = false;  // a position sees itself and what lies before it
  double dropout = 0;   // on the attention weights
  int64_t seed = 0;     // of the dropout; row ((node B + b) heads + head) T + t, column: the key's position
};

// qkv (B, T, 3 d) or (n, B, T, 3 d) for n nodes: queries, keys and values of all heads, one after the other, as
// PyTorch's in_proj_weight makes them. padding: (B, T) bool, true at keys that nothing may look at, or undefined; a
// query that is left without any key gives zeros. bias: of (B, T, 3 d) alone. The result is (B, T, d) or (n, B, T, d).
// Wrong shapes are c10::Error with the tag [attention]. With a recorder open, the samples' gradients of the bias are
// reported under the name `layer`.
//
// float32 on the CPU goes through the fused kernel: a head at a time in cache, its probabilities never in memory and
// computed again by the backward. It has no second derivative (asking for one is an error), and its results are the
// same bits for any number of threads. Everything else goes through the reference.
at::Tensor Attention(const at::Tensor& qkv, const at::Tensor& padding, const AttentionOptions& options,
                     const RelationBias& bias = {}, const char* layer = "attention");

// The same from plain operators: the fallback, and the oracle.
at::Tensor AttentionReference(const at::Tensor& qkv, const at::Tensor& padding, const AttentionOptions& options,
                              const RelationBias& bias = {}, const char* layer = "attention");

// The queries from `first_query` on alone, (B, T - first_query, d), without a gradient and without dropout: what a
// model needs that computes the next positions beside the kept ones (nn/decoding.h). The samples of qkv (B, T, 3 d) may
// lie further apart than T rows. The same bits as those of Attention's rows.
at::Tensor AttentionFrom(const at::Tensor& qkv, int64_t first_query, const AttentionOptions& options);

}  // namespace lanthorn::kernels
