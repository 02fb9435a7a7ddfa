#include "engine/nn/encoder_level.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "absl/strings/str_format.h"
#include "engine/kernels/add_norm.h"
#include "engine/kernels/attention.h"
#include "engine/kernels/dropout.h"
#include "engine/nn/key_padding.h"

namespace lanthorn::nn {
namespace {

constexpr double kEps = 1e-5;

// Xavier uniform (Glorot and Bengio 2010) for each matrix of a stack.
void Xavier(at::Tensor& stack) {
  const double fans = static_cast<double>(stack.size(-1) + stack.size(-2)), bound = std::sqrt(6.0 / fans);
  stack.uniform_(-bound, bound);
}

// As torch.nn.Linear's bias.
void FanIn(at::Tensor& bias, int64_t fan_in) {
  const double bound = 1 / std::sqrt(static_cast<double>(fan_in));
  bias.uniform_(-bound, bound);
}

}  // namespace

EncoderLevel::EncoderLevel(int64_t blocks, const BlockShape& shape)
    : Module("EncoderLevel"),
      blocks_(blocks),
      shape_(shape),
      in_weight_(RegisterParameter("self_attn.in_proj_weight", at::empty({blocks, 3 * shape.width, shape.width}))),
      in_bias_(RegisterParameter("self_attn.in_proj_bias", at::zeros({blocks, 3 * shape.width}))),
      out_weight_(RegisterParameter("self_attn.out_proj.weight", at::empty({blocks, shape.width, shape.width}))),
      out_bias_(RegisterParameter("self_attn.out_proj.bias", at::zeros({blocks, shape.width}))),
      weight1_(RegisterParameter("linear1.weight", at::empty({blocks, shape.feedforward, shape.width}))),
      bias1_(RegisterParameter("linear1.bias", at::empty({blocks, shape.feedforward}))),
      weight2_(RegisterParameter("linear2.weight", at::empty({blocks, shape.width, shape.feedforward}))),
      bias2_(RegisterParameter("linear2.bias", at::empty({blocks, shape.width}))),
      norm1_weight_(RegisterParameter("norm1.weight", at::ones({blocks, shape.width}))),
      norm1_bias_(RegisterParameter("norm1.bias", at::zeros({blocks, shape.width}))),
      norm2_weight_(RegisterParameter("norm2.weight", at::ones({blocks, shape.width}))),
      norm2_bias_(RegisterParameter("norm2.bias", at::zeros({blocks, shape.width}))) {
  const at::NoGradGuard no_grad;
  Xavier(in_weight_);
  Xavier(out_weight_);
  Xavier(weight1_);
  FanIn(bias1_, shape.width);
  Xavier(weight2_);
  FanIn(bias2_, shape.feedforward);
}

kernels::LinearOptions EncoderLevel::Dropped(kernels::Activation activation) const {
  kernels::LinearOptions options = {activation};
  if (training() && shape_.dropout > 0) {
    options.dropout = shape_.dropout;
    options.seed = kernels::DrawDropoutSeed();
  }
  return options;
}

at::Tensor EncoderLevel::Attend(const at::Tensor& x) {
  const at::Tensor qkv = kernels::StackedLinear(x, in_weight_, in_bias_, {}, kind().c_str());
  const kernels::LinearOptions drawn = Dropped(kernels::Activation::kNone);
  const kernels::AttentionOptions options = {shape_.heads, /*causal=*/true, drawn.dropout, drawn.seed};
  const at::Tensor padding = KeyPadding::Current(qkv.size(1), qkv.size(2), qkv.device());
  return kernels::StackedLinear(kernels::Attention(qkv, padding, options), out_weight_, out_bias_, {}, kind().c_str());
}

at::Tensor EncoderLevel::Blocks(const at::Tensor& x) {
  TORCH_CHECK((x.dim() == 3 || (x.dim() == 4 && x.size(0) == blocks_)) && x.size(-1) == shape_.width,
              "[EncoderLevel] input must be (N, T, ", shape_.width, ") or (", blocks_, ", N, T, ", shape_.width,
              "), got ", x.sizes());
  const char* const layer = kind().c_str();
  const kernels::NormOptions norm = {.eps = kEps};
  const at::Tensor attended = kernels::AddNorm(x, Attend(x), norm1_weight_, norm1_bias_, norm, layer).normed;
  const at::Tensor hidden =
      kernels::StackedLinear(attended, weight1_, bias1_, Dropped(kernels::Activation::kGelu), layer);
  const at::Tensor out = kernels::StackedLinear(hidden, weight2_, bias2_, Dropped(kernels::Activation::kNone), layer);
  return kernels::AddNorm(attended, out, norm2_weight_, norm2_bias_, norm, layer).normed;
}

at::Tensor EncoderLevel::Forward(const at::Tensor& input, State*) {
  // Not mean(0), whose backward writes the same gradient once for every block.
  return Blocks(input).sum(0).div(static_cast<double>(blocks_));
}

std::string EncoderLevel::Describe() const {
  return absl::StrFormat("EncoderLevel(%d blocks, %d, %d heads, %d)", blocks_, shape_.width, shape_.heads,
                         shape_.feedforward);
}

}  // namespace lanthorn::nn
