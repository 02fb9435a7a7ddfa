#include <ATen/Functions.h>

#include <cmath>
#include <limits>

#include "engine/kernels/attention/attention.h"
#include "engine/kernels/attention/causal_mask.h"
#include "engine/kernels/encoder/dropout.h"
#include "engine/tscore/samplers.h"

namespace lanthorn::kernels {

namespace {

// The tables as each sample uses them, (B, 2, R): a backward gives their gradients apart.
at::Tensor TablesOfSamples(const at::Tensor& tables, int64_t B, const char* layer) {
  const at::Tensor of_samples = tables.unsqueeze(0).expand({B, 2, tables.size(1)});
  const tscore::Recorder::Ptr recorder = tscore::Watching(of_samples, {tables});
  if (recorder != nullptr) {
    of_samples.register_hook([recorder, tables, layer](const at::Tensor& gradient) {
      recorder->Report(tables, layer, tscore::BiasUse(gradient.detach(), 2));
    });
  }
  return of_samples;
}

}  // namespace

at::Tensor AttentionReference(const at::Tensor& qkv, const at::Tensor& padding, const AttentionOptions& options,
                              const RelationBias& bias, const char* layer) {
  const int64_t B = qkv.size(-3), T = qkv.size(-2), d = qkv.size(-1) / 3, heads = options.heads;
  const int64_t n = qkv.dim() == 4 ? qkv.size(0) : 1;
  // (3, n, B, heads, T, d / heads)
  const at::Tensor parts = qkv.reshape({n, B, T, 3, heads, d / heads}).permute({3, 0, 1, 4, 2, 5});
  const double scale = 1 / std::sqrt(static_cast<double>(d) / static_cast<double>(heads));
  at::Tensor scores = at::matmul(parts[0] * scale, parts[1].transpose(-2, -1));  // (n, B, heads, T, T)
  if (bias.defined())
    scores = scores + RelationScores(bias.relations, TablesOfSamples(bias.tables, B, layer)).unsqueeze(1);
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
