#include <ATen/Functions.h>

#include <cmath>
#include <limits>

#include "engine/kernels/attention/attention.h"
#include "engine/kernels/attention/causal_mask.h"
#include "engine/kernels/encoder/dropout.h"

namespace lanthorn::kernels {

at::Tensor AttentionReference(const at::Tensor& qkv, const at::Tensor& padding, const AttentionOptions& options) {
  const int64_t B = qkv.size(-3), T = qkv.size(-2), d = qkv.size(-1) / 3, heads = options.heads;
  const int64_t n = qkv.dim() == 4 ? qkv.size(0) : 1;
  // (3, n, B, heads, T, d / heads)
  const at::Tensor parts = qkv.reshape({n, B, T, 3, heads, d / heads}).permute({3, 0, 1, 4, 2, 5});
  const double scale = 1 / std::sqrt(static_cast<double>(d) / static_cast<double>(heads));
  at::Tensor scores = at::matmul(parts[0] * scale, parts[1].transpose(-2, -1));  // (n, B, heads, T, T)
  at::Tensor mask;
  if (options.causal) mask = CausalMask(qkv.device(), T);
  if (padding.defined()) {
    const at::Tensor keys = padding.view({B, 1, 1, T});
    mask = mask.defined() ? mask.logical_or(keys) : keys;
  }
  // Not -inf: a row of nothing else would become NaN.
  if (mask.defined()) scores = scores.masked_fill(mask, std::numeric_limits<float>::lowest());
  at::Tensor weights = at::softmax(scores, -1);
  if (padding.defined()) weights = weights.masked_fill(mask, 0);
  if (options.dropout > 0) weights = SeededDropout(weights, options.dropout, options.seed);
  const at::Tensor y = at::matmul(weights, parts[2]).transpose(2, 3);  // (n, B, T, heads, d / heads)
  return qkv.dim() == 4 ? y.reshape({n, B, T, d}) : y.reshape({B, T, d});
}

}  // namespace lanthorn::kernels
