#include "engine/nn/encoder_level.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "absl/strings/str_format.h"
#include "engine/kernels/attention.h"
#include "engine/kernels/dropout.h"
#include "engine/nn/key_padding.h"
#include "engine/tscore/samplers.h"

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

at::Tensor EncoderLevel::Project(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const int64_t samples = x.size(1), steps = x.size(2), in = x.size(3), out = weight.size(1);
  const at::Tensor rows = x.reshape({x.size(0), samples * steps, in}).expand({blocks_, samples * steps, in});
  const at::Tensor y =
      at::baddbmm(bias.unsqueeze(1), rows, weight.transpose(1, 2)).reshape({blocks_, samples, steps, out});
  tscore::SampleStackedLinear(y, x, weight, bias, "EncoderLevel");
  return y;
}

at::Tensor EncoderLevel::Attend(const at::Tensor& x) {
  kernels::AttentionOptions options = {shape_.heads, /*causal=*/true};
  if (training() && shape_.dropout > 0) {
    options.dropout = shape_.dropout;
    options.seed = kernels::DrawDropoutSeed();
  }
  const at::Tensor padding = KeyPadding::Current(x.size(1), x.size(2), x.device());
  return Project(kernels::Attention(Project(x, in_weight_, in_bias_), padding, options), out_weight_, out_bias_);
}

at::Tensor EncoderLevel::Normalize(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const at::Tensor normalized = at::layer_norm(x, {shape_.width}, {}, {}, kEps);
  const at::Tensor y = normalized * weight.reshape({blocks_, 1, 1, -1}) + bias.reshape({blocks_, 1, 1, -1});
  tscore::SampleStackedScale(y, normalized, weight, bias, "EncoderLevel");
  return y;
}

at::Tensor EncoderLevel::Blocks(const at::Tensor& x) {
  TORCH_CHECK(x.dim() == 4 && (x.size(0) == 1 || x.size(0) == blocks_) && x.size(3) == shape_.width,
              "[EncoderLevel] input must be (1 or ", blocks_, ", N, T, ", shape_.width, "), got ", x.sizes());
  const at::Tensor attended = Normalize(x + Attend(x), norm1_weight_, norm1_bias_);
  const at::Tensor hidden = at::dropout(at::gelu(Project(attended, weight1_, bias1_)), shape_.dropout, training());
  const at::Tensor out = at::dropout(Project(hidden, weight2_, bias2_), shape_.dropout, training());
  return Normalize(attended + out, norm2_weight_, norm2_bias_);
}

at::Tensor EncoderLevel::Forward(const at::Tensor& input, State*) { return Blocks(input.unsqueeze(0)).mean(0); }

std::string EncoderLevel::Describe() const {
  return absl::StrFormat("EncoderLevel(%d blocks, %d, %d heads, %d)", blocks_, shape_.width, shape_.heads,
                         shape_.feedforward);
}

}  // namespace lanthorn::nn
