#include <ATen/Functions.h>

#include "engine/kernels/attention/attention.h"
#include "engine/kernels/encoder/add_norm.h"
#include "engine/kernels/encoder/encoder_blocks.h"
#include "engine/kernels/linear/stacked_linear.h"

namespace lanthorn::kernels {

at::Tensor EncoderBlocksReference(const at::Tensor& x, const at::Tensor& padding, const EncoderParameters& p,
                                  const EncoderOptions& o, const char* layer) {
  const LinearOptions hidden_options = {Activation::kGelu, o.dropout, o.hidden_seed};
  const NormOptions norm1 = {/*rms=*/false, o.eps}, norm2 = {/*rms=*/false, o.eps, o.dropout, o.output_seed};
  const at::Tensor qkv = StackedLinear(x, p[kInWeight], p[kInBias], {}, layer);
  const at::Tensor mixed = Attention(qkv, padding, {o.heads, o.causal, o.dropout, o.attention_seed});
  const at::Tensor projected = StackedLinear(mixed, p[kOutWeight], p[kOutBias], {}, layer);
  const at::Tensor attended = AddNorm(x, projected, p[kNorm1Weight], p[kNorm1Bias], norm1, layer).normed;
  const at::Tensor hidden = StackedLinear(attended, p[kWeight1], p[kBias1], hidden_options, layer);
  const at::Tensor out = StackedLinear(hidden, p[kWeight2], p[kBias2], {}, layer);
  const at::Tensor y = AddNorm(attended, out, p[kNorm2Weight], p[kNorm2Bias], norm2, layer).normed;
  // Not mean(0), whose backward writes the same gradient once for every node.
  return o.mean ? y.sum(0).div(static_cast<double>(y.size(0))) : y;
}

}  // namespace lanthorn::kernels
