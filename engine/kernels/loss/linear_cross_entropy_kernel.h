// The fused CPU kernel behind LinearCrossEntropy: raw memory in, raw memory out, no autograd.
#pragma once

#include <ATen/core/Tensor.h>

namespace lanthorn::kernels {

struct HeadInput {
  at::Tensor x;       // (N, K, C) float32
  at::Tensor weight;  // (V, C)
  at::Tensor bias;    // (V) or undefined
  at::Tensor target;  // (N, K) int64, each in [0, V) or ignore_index
  int64_t ignore_index;
  double scale;  // of every counted row's gradient: 1 / counted targets
};

struct HeadWanted {
  bool x = false, weight = false, bias = false;
  bool squares = false;  // of weight and bias, where those are wanted
};

struct HeadResult {
  double loss_sum = 0;            // over counted rows, not scaled
  at::Tensor x, weight, bias;     // gradients times scale, as wanted
  at::Tensor sq_weight, sq_bias;  // (N) float64, of the gradients times scale
  at::Tensor log_sums;            // (N, K) log sum exp of each counted row's logits, others infinite; with squares
};

// All tensors contiguous, on the CPU.
HeadResult RunHead(const HeadInput& in, const HeadWanted& wanted);

struct RowLoss {
  double loss;     // -log softmax(logits + bias)[target]
  double log_sum;  // log sum exp(logits + bias)
};
// One row of logits (V) without bias; `bias` may be null. With `gradient` the row becomes scale * (softmax -
// onehot(target)); without, it is scratch. NaN in, NaN out.
RowLoss CrossEntropyRow(int64_t V, float* logits, const float* bias, int64_t target, float scale, bool gradient);

// sum[i] += tile[i]; returns the sum of squares of tile, accumulated in double by blocks.
double SquareAndAccumulate(int64_t size, const float* tile, float* sum);

}  // namespace lanthorn::kernels
