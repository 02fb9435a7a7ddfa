// Multi-head self-attention with torch.nn.MultiheadAttention's parameter names and initial values.
#include "engine/kernels/attention/attention.h"

#include <ATen/Functions.h>

#include <cmath>

#include "absl/strings/str_format.h"
#include "engine/kernels/encoder/dropout.h"
#include "engine/kernels/linear/stacked_linear.h"
#include "engine/nn/decoding.h"
#include "engine/nn/key_padding.h"
#include "engine/nn/key_relations.h"
#include "engine/nn/layer.h"
#include "engine/nn/layer_makers.h"

namespace lanthorn::nn {
namespace {

class MultiheadAttention final : public Module {
 public:
  // `inner`: the width of all heads together.
  MultiheadAttention(int64_t size, int64_t heads, int64_t inner, double dropout, bool bias, bool causal,
                     int64_t relations)
      : Module("MultiheadAttention"),
        size_(size),
        heads_(heads),
        inner_(inner),
        dropout_(dropout),
        causal_(causal),
        weight_(RegisterParameter("in_proj_weight", at::empty({3 * inner, size}))) {
    if (bias) bias_ = &RegisterParameter("in_proj_bias", at::zeros({3 * inner}));
    // PyTorch draws the outer projection first.
    out_proj_ = MakeLinear(inner, size, bias);
    AddChild("out_proj", out_proj_);
    at::NoGradGuard no_grad;
    const double bound = std::sqrt(3.0) * std::sqrt(2.0 / static_cast<double>(size + 3 * inner));  // Xavier uniform
    weight_.uniform_(-bound, bound);
    if (bias) out_proj_->Own("bias").zero_();
    // Of zeros: no relation counts before it was learnt to.
    if (relations > 0) relation_bias_ = &RegisterParameter("relation_bias", at::zeros({2, relations}));
  }

  at::Tensor Compute(const at::Tensor& input, State*) override {
    TORCH_CHECK(input.dim() == 3 && input.size(2) == size_, "[MultiheadAttention] input must be (B, T, ", size_,
                "), got ", input.sizes());
    const at::Tensor bias = bias_ != nullptr ? *bias_ : at::Tensor();
    const at::Tensor qkv = kernels::StackedLinear(input, weight_, bias, {}, "MultiheadAttention");
    kernels::AttentionOptions options = {heads_, causal_};
    if (training() && dropout_ > 0) {
      options.dropout = dropout_;
      options.seed = kernels::DrawDropoutSeed();
    }
    kernels::RelationBias related;
    if (relation_bias_ != nullptr)
      related = {KeyRelations::Current(input.size(0), input.size(1), input.device(), "MultiheadAttention"),
                 *relation_bias_};
    Decoding* const decoding = Decoding::Current();
    const at::Tensor padding = KeyPadding::Current(input.size(0), input.size(1), input.device());
    const at::Tensor mixed = decoding != nullptr
                                 ? kernels::AttentionFrom(decoding->Append(this, qkv), decoding->past(), options)
                                 : kernels::Attention(qkv, padding, options, related, "MultiheadAttention");
    return kernels::StackedLinear(mixed, out_proj_->Own("weight"), out_proj_->Own("bias"), {}, "Linear");
  }

  std::string Describe() const override {
    std::string text = absl::StrFormat("MultiheadAttention(%d, %d", size_, heads_);
    if (inner_ != size_) absl::StrAppendFormat(&text, ", head_dim=%d", inner_ / heads_);
    if (dropout_ > 0) absl::StrAppendFormat(&text, ", dropout=%g", dropout_);
    if (bias_ == nullptr) text += ", bias=false";
    if (relation_bias_ != nullptr) absl::StrAppendFormat(&text, ", relations=%d", relation_bias_->size(1));
    return text + (causal_ ? ", causal=true)" : ")");
  }

 protected:
  bool DecodesItself() const override { return causal_ && !training() && relation_bias_ == nullptr; }

 private:
  int64_t size_, heads_, inner_;
  double dropout_;
  bool causal_;
  at::Tensor& weight_;
  at::Tensor *bias_ = nullptr, *relation_bias_ = nullptr;
  std::shared_ptr<Module> out_proj_;
};

const RegisterLayer attention(
    {"MultiheadAttention(int embed_dim, int num_heads, float dropout=0., bool bias=True, bool causal=False, int "
     "head_dim=0, int relations=0)",
     "Self-attention: softmax(Q K^T / sqrt(head_dim)) V for each head, then a linear map; dropout on the attention "
     "weights. head_dim is embed_dim / num_heads unless given. causal: a position sees itself and what lies before it. "
     "in and out (B, T, embed_dim). Keys in "
     "the scope of nn.key_padding are left out; a query without any key gives the outer projection's bias. relations: "
     "how many the scope of nn.key_relations knows, with 0 for none; two positions of one relation r add "
     "relation_bias[0][r] to their score, one of them and one of none relation_bias[1][r]. Parameter names and initial "
     "values as torch.nn.MultiheadAttention. Vaswani et al. 2017.",
     "nn.MultiheadAttention{8, 2, causal=true}(torch.randn{3, 5, 8})",
     [](int64_t embed_dim, int64_t num_heads, double dropout, bool bias, bool causal, int64_t head_dim,
        int64_t relations) {
       return MakeMultiheadAttention(embed_dim, num_heads, head_dim, dropout, bias, causal, relations);
     }});

}  // namespace

std::shared_ptr<Module> MakeMultiheadAttention(int64_t embed_dim, int64_t num_heads, int64_t head_dim, double dropout,
                                               bool bias, bool causal, int64_t relations) {
  TORCH_CHECK(relations >= 0, "[MultiheadAttention] relations must not be negative, got ", relations);
  TORCH_CHECK(embed_dim > 0 && num_heads > 0, "[MultiheadAttention] sizes must be positive, got ", embed_dim, " and ",
              num_heads);
  TORCH_CHECK(head_dim >= 0, "[MultiheadAttention] head_dim must not be negative, got ", head_dim);
  TORCH_CHECK(head_dim > 0 || embed_dim % num_heads == 0, "[MultiheadAttention] num_heads must divide embed_dim, got ",
              num_heads, " heads for ", embed_dim);
  TORCH_CHECK(dropout >= 0 && dropout < 1, "[MultiheadAttention] dropout must be in [0, 1), got ", dropout);
  return std::make_shared<MultiheadAttention>(embed_dim, num_heads, head_dim > 0 ? num_heads * head_dim : embed_dim,
                                              dropout, bias, causal, relations);
}

}  // namespace lanthorn::nn
