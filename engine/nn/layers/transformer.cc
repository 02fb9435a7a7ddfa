// One block of a transformer, with torch.nn.TransformerEncoderLayer's parameter names and initial values.
#include <ATen/Functions.h>

#include <array>
#include <optional>

#include "absl/strings/str_format.h"
#include "engine/base/text/nearest.h"
#include "engine/kernels/encoder/add_norm.h"
#include "engine/kernels/encoder/dropout.h"
#include "engine/kernels/encoder/encoder_blocks.h"
#include "engine/kernels/encoder/gated.h"
#include "engine/kernels/linear/stacked_linear.h"
#include "engine/nn/decoding.h"
#include "engine/nn/key_padding.h"
#include "engine/nn/key_relations.h"
#include "engine/nn/layer.h"
#include "engine/nn/layer_makers.h"

namespace lanthorn::nn {
namespace {

constexpr std::array<const char*, 5> kActivations = {"gelu", "gelu_tanh", "relu", "relu2", "swiglu"};

struct BlockOptions {
  int64_t size, heads, hidden;
  double dropout, attention_dropout, hidden_dropout;
  std::string activation_name;
  std::optional<kernels::Activation> activation;  // none: swiglu, whose linear1 is two
  bool rms, norm_first, causal;
  double eps;
  bool bias;
  int64_t head_dim;  // 0: size / heads
  bool norm_affine;
  int64_t relations;  // 0: none
};

class TransformerEncoderLayer final : public Module {
 public:
  explicit TransformerEncoderLayer(const BlockOptions& o) : Module("TransformerEncoderLayer"), o_(o) {
    attention_ = Add("self_attn", MakeMultiheadAttention(o.size, o.heads, o.head_dim, o.attention_dropout, o.bias,
                                                         o.causal, o.relations));
    const int64_t width = o.activation ? o.hidden : 2 * o.hidden;
    linear1_ = Add("linear1", MakeLinear(o.size, width, o.bias));
    linear2_ = Add("linear2", MakeLinear(o.hidden, o.size, o.bias));
    norm1_ = Add("norm1", MakeNorm());
    norm2_ = Add("norm2", MakeNorm());
  }

  at::Tensor Compute(const at::Tensor& input, State*) override {
    TORCH_CHECK(input.dim() == 3 && input.size(2) == o_.size, "[TransformerEncoderLayer] input must be (B, T, ",
                o_.size, "), got ", input.sizes());
    // Positions that come one by one, or a part with a forward of its own, need the parts.
    if (Decoding::Current() != nullptr || HoldsScripted()) return InParts(input);
    kernels::EncoderOptions options = {.heads = o_.heads,
                                       .causal = o_.causal,
                                       .norm_first = o_.norm_first,
                                       .rms = o_.rms,
                                       .activation = o_.activation.value_or(kernels::Activation::kNone),
                                       .gated = !o_.activation,
                                       .eps = o_.eps};
    options.dropout = {attention_->training() ? o_.attention_dropout : 0, InTraining(o_.dropout),
                       InTraining(o_.hidden_dropout), InTraining(o_.dropout)};
    for (size_t i = 0; i < options.dropout.size(); ++i) options.seeds[i] = SeedFor(options.dropout[i]);
    const Module& out_proj = *attention_->Child("out_proj");
    const at::Tensor padding = KeyPadding::Current(input.size(0), input.size(1), input.device());
    kernels::RelationBias related;
    if (o_.relations > 0)
      related = {KeyRelations::Current(input.size(0), input.size(1), input.device(), "TransformerEncoderLayer"),
                 attention_->Own("relation_bias")};
    return kernels::EncoderBlocks(
        input, padding,
        {attention_->Own("in_proj_weight"), attention_->Own("in_proj_bias"), out_proj.Own("weight"),
         out_proj.Own("bias"), linear1_->Own("weight"), linear1_->Own("bias"), linear2_->Own("weight"),
         linear2_->Own("bias"), norm1_->Own("weight"), norm1_->Own("bias"), norm2_->Own("weight"), norm2_->Own("bias")},
        options, kind().c_str(), related);
  }

  std::string Describe() const override {
    std::string text =
        absl::StrFormat("TransformerEncoderLayer(%d, %d, %d, %s", o_.size, o_.heads, o_.hidden, o_.activation_name);
    if (o_.head_dim > 0) absl::StrAppendFormat(&text, ", head_dim=%d", o_.head_dim);
    if (o_.dropout > 0) absl::StrAppendFormat(&text, ", dropout=%g", o_.dropout);
    if (o_.attention_dropout != o_.dropout)
      absl::StrAppendFormat(&text, ", attention_dropout=%g", o_.attention_dropout);
    if (o_.hidden_dropout != o_.dropout) absl::StrAppendFormat(&text, ", hidden_dropout=%g", o_.hidden_dropout);
    if (o_.rms) text += ", norm=rms";
    if (o_.norm_first) text += ", norm_first=true";
    if (!o_.norm_affine) text += ", norm_affine=false";
    if (!o_.bias) text += ", bias=false";
    if (o_.relations > 0) absl::StrAppendFormat(&text, ", relations=%d", o_.relations);
    return text + (o_.causal ? ", causal=true)" : ")");
  }

  Lowers LowersTo(kernels::Precision::Kind precision) const override {
    return precision == kernels::Precision::kBf16 && !HoldsScripted() ? Lowers::kByPairs : Lowers::kNot;
  }
  bool Recomputes() const override { return !HoldsScripted(); }

 protected:
  bool DecodesItself() const override { return true; }

 private:
  Module* Add(const char* name, std::shared_ptr<Module> child) {
    AddChild(name, child);
    return child.get();
  }
  std::shared_ptr<Module> MakeNorm() const {
    return o_.rms ? MakeRmsNorm(o_.size, o_.eps, o_.norm_affine)
                  : MakeLayerNorm(o_.size, o_.eps, o_.norm_affine, o_.bias);
  }
  double InTraining(double dropout) const { return training() ? dropout : 0; }
  static int64_t SeedFor(double dropout) { return dropout > 0 ? kernels::DrawDropoutSeed() : 0; }

  // The block layer by layer.
  at::Tensor InParts(const at::Tensor& input) const {
    if (!o_.norm_first) {
      const at::Tensor x = AddNorm(input, attention_->Forward(input, nullptr), *norm1_).normed;
      return AddNorm(x, FeedForward(x), *norm2_).normed;
    }
    const at::Tensor normed = AddNorm(input, {}, *norm1_).normed;
    const kernels::AddNormOutput middle = AddNorm(input, attention_->Forward(normed, nullptr), *norm2_);
    const double dropout = InTraining(o_.dropout);
    return middle.sum + kernels::SeededDropout(FeedForward(middle.normed), dropout, SeedFor(dropout));
  }

  // x + drop(y) and its norm; without y the norm of x.
  kernels::AddNormOutput AddNorm(const at::Tensor& x, const at::Tensor& y, const Module& norm) const {
    const double dropout = y.defined() ? InTraining(o_.dropout) : 0;
    const kernels::NormOptions options = {o_.rms, o_.eps, dropout, SeedFor(dropout)};
    return kernels::AddNorm(x, y, norm.Own("weight"), norm.Own("bias"), options, o_.rms ? "RMSNorm" : "LayerNorm");
  }

  // W2 drop(act(W1 x + b1)) + b2
  at::Tensor FeedForward(const at::Tensor& x) const {
    const auto linear = [](const Module& layer, const at::Tensor& from, const kernels::LinearOptions& options) {
      return kernels::StackedLinear(from, layer.Own("weight"), layer.Own("bias"), options, "Linear");
    };
    const double dropout = InTraining(o_.hidden_dropout);
    if (o_.activation) return linear(*linear2_, linear(*linear1_, x, {*o_.activation, dropout, SeedFor(dropout)}), {});
    const at::Tensor wide = linear(*linear1_, x, {});
    return linear(*linear2_, kernels::Gated(wide, dropout, SeedFor(dropout)), {});
  }

  BlockOptions o_;
  Module *attention_, *linear1_, *linear2_, *norm1_, *norm2_;
};

std::shared_ptr<Module> Make(int64_t d_model, int64_t nhead, int64_t dim_feedforward, double dropout,
                             const std::string& activation, const std::string& norm, bool norm_first, bool causal,
                             double layer_norm_eps, bool bias, int64_t head_dim, bool norm_affine,
                             double attention_dropout, double hidden_dropout, int64_t relations) {
  constexpr const char* kTag = "[TransformerEncoderLayer]";
  const auto found = std::find(kActivations.begin(), kActivations.end(), activation);
  TORCH_CHECK(found != kActivations.end(), kTag, " activation must be gelu, gelu_tanh, relu, relu2 or swiglu, got '",
              activation, "'", DidYouMean(activation, {kActivations.begin(), kActivations.end()}));
  TORCH_CHECK(norm == "layer" || norm == "rms", kTag, " norm must be layer or rms, got '", norm, "'",
              DidYouMean(norm, {"layer", "rms"}));
  BlockOptions o = {.size = d_model,
                    .heads = nhead,
                    .hidden = dim_feedforward,
                    .dropout = dropout,
                    .attention_dropout = attention_dropout < 0 ? dropout : attention_dropout,
                    .hidden_dropout = hidden_dropout < 0 ? dropout : hidden_dropout,
                    .activation_name = activation,
                    .activation = std::nullopt,
                    .rms = norm == "rms",
                    .norm_first = norm_first,
                    .causal = causal,
                    .eps = layer_norm_eps,
                    .bias = bias,
                    .head_dim = head_dim,
                    .norm_affine = norm_affine,
                    .relations = relations};
  if (kernels::Activation known; kernels::FromText(activation, &known)) o.activation = known;
  TORCH_CHECK(o.size > 0 && o.heads > 0 && o.hidden > 0, kTag, " sizes must be positive, got ", o.size, ", ", o.heads,
              ", ", o.hidden);
  TORCH_CHECK(o.head_dim > 0 || o.size % o.heads == 0, kTag, " nhead must divide d_model, got ", o.heads, " heads for ",
              o.size);
  for (const double share : {o.dropout, o.attention_dropout, o.hidden_dropout})
    TORCH_CHECK(share >= 0 && share < 1, kTag, " dropout must be in [0, 1), got ", share);
  TORCH_CHECK(o.eps >= 0, kTag, " layer_norm_eps must not be negative, got ", o.eps);
  return std::make_shared<TransformerEncoderLayer>(o);
}

const RegisterLayer encoder_layer(
    {"TransformerEncoderLayer(int d_model, int nhead, int dim_feedforward, float dropout=0.1, str activation='gelu', "
     "str norm='layer', bool norm_first=False, bool causal=False, float layer_norm_eps=1e-05, bool bias=True, "
     "int head_dim=0, bool norm_affine=True, float attention_dropout=-1., float hidden_dropout=-1., int "
     "relations=0)",
     "x = norm1(x + drop(attention(x))), x = norm2(x + drop(W2 drop(act(W1 x + b1)) + b2)); with norm_first x = x + "
     "drop(attention(norm1(x))), x = x + drop(W2 drop(act(W1 norm2(x) + b1)) + b2). activation: gelu (exact), "
     "gelu_tanh (as GPT-2), relu, "
     "relu2 (relu(x)^2, So et al. 2021) or swiglu (Shazeer 2020: silu of the first half of linear1's rows times the "
     "second; linear1 has 2 dim_feedforward rows). norm: layer or rms, without weight and bias where norm_affine is "
     "false. in and out (B, T, d_model); attention_dropout, of the attention weights, and hidden_dropout, "
     "of the activated units, are as dropout unless given. padding by nn.key_padding; relations as of "
     "MultiheadAttention. Parameter names and initial "
     "values as torch.nn.TransformerEncoderLayer. Vaswani et al. 2017.",
     "nn.TransformerEncoderLayer{8, 2, 16, dropout=0, causal=true}(torch.randn{3, 5, 8})", &Make});

}  // namespace
}  // namespace lanthorn::nn
