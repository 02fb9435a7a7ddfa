#include <ATen/Functions.h>

#include "engine/kernels/attention/attention.h"
#include "engine/kernels/encoder/add_norm.h"
#include "engine/kernels/encoder/dropout.h"
#include "engine/kernels/encoder/encoder_blocks.h"
#include "engine/kernels/encoder/gated.h"

namespace lanthorn::kernels {
namespace {

struct Parts {
  const at::Tensor& padding;
  const EncoderParameters& p;
  const EncoderOptions& o;
  const char* layer;
  const RelationBias& bias;

  at::Tensor Attend(const at::Tensor& x) const {
    const at::Tensor qkv = StackedLinear(x, p[kInWeight], p[kInBias], {}, layer);
    const at::Tensor mixed =
        Attention(qkv, padding, {o.heads, o.causal, o.dropout[kDropAttention], o.seeds[kDropAttention]}, bias, layer);
    return StackedLinear(mixed, p[kOutWeight], p[kOutBias], {}, layer);
  }
  at::Tensor Feed(const at::Tensor& x) const {
    const double dropout = o.dropout[kDropHidden];
    const int64_t seed = o.seeds[kDropHidden];
    if (!o.gated) {
      const at::Tensor hidden = StackedLinear(x, p[kWeight1], p[kBias1], {o.activation, dropout, seed}, layer);
      return StackedLinear(hidden, p[kWeight2], p[kBias2], {}, layer);
    }
    const at::Tensor wide = StackedLinear(x, p[kWeight1], p[kBias1], {}, layer);
    return StackedLinear(Gated(wide, dropout, seed), p[kWeight2], p[kBias2], {}, layer);
  }
  // x + drop(y) and its norm; `norm`: kNorm1Weight or kNorm2Weight.
  AddNormOutput Norm(const at::Tensor& x, const at::Tensor& y, EncoderParameter norm, EncoderDrop drop) const {
    const NormOptions options = {o.rms, o.eps, y.defined() ? o.dropout[drop] : 0, o.seeds[drop]};
    const bool spread = y.defined() && y.dim() > x.dim() && !p[norm].defined();  // nothing says that there are nodes
    return AddNorm(spread ? x.unsqueeze(0).expand(y.sizes()) : x, y, p[norm], p[norm + 1], options, layer);
  }
};

}  // namespace

at::Tensor EncoderBlocksReference(const at::Tensor& x, const at::Tensor& padding, const EncoderParameters& parameters,
                                  const EncoderOptions& o, const char* layer, const RelationBias& bias) {
  const Parts block = {padding, parameters, o, layer, bias};
  at::Tensor y;
  if (o.norm_first) {
    const at::Tensor normed = block.Norm(x, {}, kNorm1Weight, kDropAttended).normed;
    const AddNormOutput middle = block.Norm(x, block.Attend(normed), kNorm2Weight, kDropAttended);
    y = middle.sum + SeededDropout(block.Feed(middle.normed), o.dropout[kDropFed], o.seeds[kDropFed]);
  } else {
    const at::Tensor attended = block.Norm(x, block.Attend(x), kNorm1Weight, kDropAttended).normed;
    y = block.Norm(attended, block.Feed(attended), kNorm2Weight, kDropFed).normed;
  }
  // Not mean(0), whose backward writes the same gradient once for every node.
  return o.mean && y.dim() == 4 ? y.sum(0).div(static_cast<double>(y.size(0))) : y;
}

}  // namespace lanthorn::kernels
