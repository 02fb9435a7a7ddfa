#include "engine/kernels/attention.h"

#include <ATen/Functions.h>
#include <torch/library.h>

#include "engine/base/torch_compat.h"

namespace lanthorn::kernels {
namespace {

using MaybeTensor = compat::Optional<at::Tensor>;

void CheckShapes(const at::Tensor& qkv, const at::Tensor& padding, const AttentionOptions& o) {
  TORCH_CHECK(qkv.dim() == 3 || qkv.dim() == 4, "[attention] qkv must be (B, T, 3 d) or (n, B, T, 3 d), got ",
              qkv.sizes());
  TORCH_CHECK(qkv.is_floating_point(), "[attention] qkv must be floating point, got ", qkv.scalar_type());
  TORCH_CHECK(o.heads > 0 && qkv.size(-1) > 0 && qkv.size(-1) % (3 * o.heads) == 0,
              "[attention] the last dimension must be 3 d with d a multiple of ", o.heads, " heads, got ",
              qkv.size(-1));
  TORCH_CHECK(o.dropout >= 0 && o.dropout < 1, "[attention] dropout must be in [0, 1), got ", o.dropout);
  if (!padding.defined()) return;
  TORCH_CHECK(padding.scalar_type() == c10::kBool && padding.dim() == 2 && padding.size(0) == qkv.size(-3) &&
                  padding.size(1) == qkv.size(-2),
              "[attention] padding must be a bool (", qkv.size(-3), ", ", qkv.size(-2), "), true at padded keys, got ",
              padding.scalar_type(), " ", padding.sizes());
  TORCH_CHECK(padding.device() == qkv.device(), "[attention] qkv is on ", qkv.device(), ", padding on ",
              padding.device());
}

at::Tensor Registered(const at::Tensor& qkv, int64_t heads, bool causal, const MaybeTensor& padding, double dropout,
                      int64_t seed) {
  return Attention(qkv, padding ? *padding : at::Tensor(), {heads, causal, dropout, seed});
}

TORCH_LIBRARY_FRAGMENT(lanthorn, m) {
  m.def(
      "attention(Tensor qkv, int heads, bool causal=False, Tensor? padding=None, float dropout=0., int seed=0) -> "
      "Tensor",
      &Registered);
}

}  // namespace

at::Tensor Attention(const at::Tensor& qkv, const at::Tensor& padding, const AttentionOptions& options) {
  CheckShapes(qkv, padding, options);
  return AttentionReference(qkv, padding, options);
}

}  // namespace lanthorn::kernels
