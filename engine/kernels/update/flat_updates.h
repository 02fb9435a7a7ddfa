// The updates of optimisers in one pass over memory: each element of parameter, gradient and state is read once and
// written once, for all tensors of a step in one parallel region. Contiguous float32 on the CPU; the optimisers in
// engine/optim hold the same rules from plain operators, for everything else and as the oracle.
//
// Every element is computed on its own, so results do not depend on the number of threads. No two tensors of a call may
// share memory that is written.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <initializer_list>
#include <vector>

namespace lanthorn::kernels {

// Whether all are contiguous float32 tensors on the CPU with as many elements as the first.
bool IsFlat(std::initializer_list<at::Tensor> tensors);

// The gradient that counts is g = gradient_scale * gradient + l2 * p. The update moves p by `apply` of its way: at 0 p
// keeps its bits, at 1 it is as if there were no mask. Elements whose gradient is below `least` keep theirs too.
struct FlatTensor {
  int64_t size;
  float* p;
  const float* gradient;
  float gradient_scale, l2;
  float apply = 1, least = 0;
};

// p *= keep;  m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;  p -= rate m / (root_scale sqrt(v) + eps)
// where rate = lr / (1 - beta1^t) and root_scale = 1 / sqrt(1 - beta2^t).
struct AdamTensor {
  FlatTensor flat;
  float *m, *v;
  float keep, beta1, one_minus_beta1, beta2, one_minus_beta2, rate, root_scale, eps;
};
void AdamUpdate(const std::vector<AdamTensor>& tensors);

// Without a buffer p -= lr g. With one: buffer = momentum buffer + take g;  p -= lr buffer, or with nesterov
// p -= lr (g + momentum buffer).
struct SgdTensor {
  FlatTensor flat;
  float* buffer;  // or nullptr
  float lr, momentum, take;
  bool nesterov;
};
void SgdUpdate(const std::vector<SgdTensor>& tensors);

// square = alpha square + (1 - alpha) g^2;  with a mean: mean = alpha mean + (1 - alpha) g and the root is of
// square - mean^2;  step = g / (root + eps);  with a buffer: buffer = momentum buffer + step, step = buffer;
// p -= lr step
struct RmsPropTensor {
  FlatTensor flat;
  float* square;
  float* mean;    // or nullptr
  float* buffer;  // or nullptr
  float lr, alpha, one_minus_alpha, eps, momentum;
};
void RmsPropUpdate(const std::vector<RmsPropTensor>& tensors);

}  // namespace lanthorn::kernels
