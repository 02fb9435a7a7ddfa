// The residual step of a transformer, for n nodes at once: sum = x + drop(y), normed = norm(sum) * weight + bias.
#pragma once

#include <ATen/core/Tensor.h>

namespace lanthorn::kernels {

struct NormOptions {
  bool rms = false;  // sum / sqrt(mean(sum^2) + eps), else (sum - mean) / sqrt(var + eps)
  double eps = 1e-5;
  double dropout = 0;  // of y
  int64_t seed = 0;    // of the dropout (SeededDropout of y)
};

struct AddNormOutput {
  at::Tensor sum, normed;
};

// weight (d), bias (d) or undefined, or neither: x and y (N, ..., d). weight (n, d), bias (n, d): y (n, N, K, d), x
// the same or (N, K, d) for all nodes. Without y (undefined) the sum is x as it is. N counts the samples: with a
// recorder open, the gradients' squares of each sample are reported, under the name `layer`. Wrong shapes are
// c10::Error with the tag [add_norm].
//
// float32 on the CPU goes through the fused kernel, one pass forward and one backward; it has no second derivative
// (asking for one is an error), and its results are the same bits for any number of threads. Everything else goes
// through the reference.
AddNormOutput AddNorm(const at::Tensor& x, const at::Tensor& y, const at::Tensor& weight, const at::Tensor& bias,
                      const NormOptions& options, const char* layer = "add_norm");

// The same from plain operators: the fallback, and the oracle.
AddNormOutput AddNormReference(const at::Tensor& x, const at::Tensor& y, const at::Tensor& weight,
                               const at::Tensor& bias, const NormOptions& options, const char* layer = "add_norm");

}  // namespace lanthorn::kernels
