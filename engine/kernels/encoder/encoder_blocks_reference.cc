#include <ATen/Functions.h>

#include "engine/kernels/attention/attention.h"
#include "engine/kernels/encoder/add_norm.h"
#include "engine/kernels/encoder/dropout.h"
#include "engine/kernels/encoder/encoder_blocks.h"
#include "engine/kernels/encoder/gated.h"
#include "engine/kernels/gemm/precision.h"
#include "engine/kernels/linear/pairs.h"

namespace lanthorn::kernels {
namespace {

struct Parts {
  const at::Tensor& padding;
  const EncoderParameters& p;
  const EncoderOptions& o;
  const char* layer;
  const RelationBias& bias;
  Operands operands = OperandsOf(CurrentPrecision());

  at::Tensor Linear(const at::Tensor& x, EncoderParameter weight, LinearOptions options = {}) const {
    options.operands = operands;
    return StackedLinear(x, p[weight], p[weight + 1], options, layer);
  }
  at::Tensor Attend(const at::Tensor& x) const {
    const at::Tensor qkv = Linear(x, kInWeight);
    const at::Tensor mixed =
        Attention(qkv, padding, {o.heads, o.causal, o.dropout[kDropAttention], o.seeds[kDropAttention]}, bias, layer);
    return Linear(mixed, kOutWeight);
  }
  at::Tensor Feed(const at::Tensor& x) const {
    const double dropout = o.dropout[kDropHidden];
    const int64_t seed = o.seeds[kDropHidden];
    if (!o.gated) {
      return Linear(Linear(x, kWeight1, {o.activation, dropout, seed}), kWeight2);
    }
    return Linear(Gated(Linear(x, kWeight1), dropout, seed), kWeight2);
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
