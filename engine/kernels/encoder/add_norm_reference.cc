#include <ATen/Functions.h>

#include "engine/kernels/encoder/add_norm.h"
#include "engine/kernels/encoder/dropout.h"
#include "engine/tscore/samplers.h"

namespace lanthorn::kernels {
namespace {

at::Tensor Normalized(const at::Tensor& x, const NormOptions& o) {
  if (o.rms) return x * at::rsqrt(x.square().mean(-1, /*keepdim=*/true) + o.eps);
  return at::layer_norm(x, {x.size(-1)}, {}, {}, o.eps);
}

}  // namespace

AddNormOutput AddNormReference(const at::Tensor& x, const at::Tensor& y, const at::Tensor& weight,
                               const at::Tensor& bias, const NormOptions& options, const char* layer) {
  const at::Tensor sum = y.defined() ? x + SeededDropout(y, options.dropout, options.seed) : x;
  const at::Tensor normalized = Normalized(sum, options);
  const auto spread = [&](const at::Tensor& parameter) {
    return parameter.dim() == 1 ? parameter : parameter.view({parameter.size(0), 1, 1, parameter.size(1)});
  };
  if (!weight.defined()) return {sum, normalized};
  at::Tensor normed = normalized * spread(weight);
  if (bias.defined()) normed = normed + spread(bias);
  if (weight.dim() == 1) {
    tscore::SampleScale(normed, normalized, weight, bias, layer);
  } else {
    tscore::SampleStackedScale(normed, normalized, weight, bias, layer);
  }
  return {sum, normed};
}

}  // namespace lanthorn::kernels
