#include "engine/nn/tree/encoder_level.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "absl/strings/str_format.h"
#include "engine/kernels/encoder/dropout.h"
#include "engine/kernels/encoder/encoder_blocks.h"
#include "engine/nn/key_padding.h"

namespace lanthorn::nn {
namespace {

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

at::Tensor EncoderLevel::Run(const at::Tensor& x, bool mean) {
  TORCH_CHECK((x.dim() == 3 || (x.dim() == 4 && x.size(0) == blocks_)) && x.size(-1) == shape_.width,
              "[EncoderLevel] input must be (N, T, ", shape_.width, ") or (", blocks_, ", N, T, ", shape_.width,
              "), got ", x.sizes());
  kernels::EncoderOptions options = {.heads = shape_.heads, .mean = mean};
  if (training() && shape_.dropout > 0) {
    for (const kernels::EncoderDrop drop : {kernels::kDropAttention, kernels::kDropHidden, kernels::kDropFed}) {
      options.dropout[drop] = shape_.dropout;
      options.seeds[drop] = kernels::DrawDropoutSeed();
    }
  }
  const at::Tensor padding = KeyPadding::Current(x.size(-3), x.size(-2), x.device());
  return kernels::EncoderBlocks(x, padding,
                                {in_weight_, in_bias_, out_weight_, out_bias_, weight1_, bias1_, weight2_, bias2_,
                                 norm1_weight_, norm1_bias_, norm2_weight_, norm2_bias_},
                                options, kind().c_str());
}

std::string EncoderLevel::Describe() const {
  return absl::StrFormat("EncoderLevel(%d blocks, %d, %d heads, %d)", blocks_, shape_.width, shape_.heads,
                         shape_.feedforward);
}

}  // namespace lanthorn::nn
