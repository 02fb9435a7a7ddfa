// The sweeps of fused attention over raw memory, compiled per SIMD target: no autograd, no threads. A unit is one head
// of one sample of one node; units share nothing, so no result depends on how they are shared out.
#pragma once

#include <cstdint>

namespace lanthorn::kernels {

struct AttentionLayout {
  int64_t B, T, heads, width;  // width: channels of a head
  bool causal;
  double dropout;
  int64_t seed;
  int64_t first_unit = 0;   // the number that dropout gives to unit 0
  int64_t first_query = 0;  // the forward leaves out the queries before it
  int64_t sample_rows = 0;  // from one sample of qkv to the next; 0: T
  int64_t d() const { return heads * width; }
};

// What a sweep knows of the keys; all may be null.
struct AttentionKeys {
  const float* keep = nullptr;  // (B, AttentionColumns(T)): 1 at keys that may be looked at, else 0
  // What a query adds to its scores by its relation (relation_bias.h).
  const float* bias_rows = nullptr;    // (B, relation_count, AttentionColumns(T))
  const int64_t* relations = nullptr;  // (B, T), of the queries
  int64_t relation_count = 0;
};

struct AttentionMemory {
  const float* qkv;  // (n, B, T, 3 d), or with sample_rows in place of T
  AttentionKeys keys = {};
};

// T, rounded up to what a sweep reads of `keep`.
int64_t AttentionColumns(int64_t T);

// y (n, B, T - first_query, d) of the units [begin, end) of n B heads. sums (units, T, 2): each query's largest score
// and 1 / its sum of exponentials, for the backward; or null.
void AttentionForward(const AttentionLayout& layout, const AttentionMemory& memory, float* y, float* sums,
                      int64_t begin, int64_t end);

// grad_qkv (n, B, T, 3 d) of the units [begin, end). The probabilities are computed again. grad_bias_rows (units,
// relation_count, AttentionColumns(T)) is added to; null without a bias, or where nobody asks.
void AttentionBackward(const AttentionLayout& layout, const AttentionMemory& memory, const float* sums,
                       const float* grad_y, float* grad_qkv, float* grad_bias_rows, int64_t begin, int64_t end);

}  // namespace lanthorn::kernels
