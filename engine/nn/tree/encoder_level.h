// Transformer encoder blocks of equal shape side by side: the nodes of one level of a tree, with their weights stacked
// along dimension 0, computed together. Post-norm (Vaswani et al. 2017), causal, exact GELU, as PyTorch's
// TransformerEncoderLayer: slice i of each parameter is the parameter of that name of block i.
#pragma once

#include "engine/nn/module.h"

namespace lanthorn::nn {

struct BlockShape {
  int64_t width = 0, heads = 0, feedforward = 0;
  double dropout = 0;
};

class EncoderLevel final : public Module {
 public:
  EncoderLevel(int64_t blocks, const BlockShape& shape);

  // x (N, T, width), one input for all blocks, or (blocks, N, T, width). Returns (blocks, N, T, width).
  at::Tensor Blocks(const at::Tensor& x) { return Run(x, /*mean=*/false); }
  // x (N, T, width): the mean over all blocks, (N, T, width).
  at::Tensor Compute(const at::Tensor& input, State*) override { return Run(input, /*mean=*/true); }
  std::string Describe() const override;
  bool Recomputes() const override { return true; }
  Lowers LowersTo(kernels::Precision::Kind precision) const override {
    return precision == kernels::Precision::kBf16 ? Lowers::kByPairs : Lowers::kNot;
  }

 private:
  at::Tensor Run(const at::Tensor& x, bool mean);

  int64_t blocks_;
  BlockShape shape_;
  at::Tensor &in_weight_, &in_bias_, &out_weight_, &out_bias_, &weight1_, &bias1_, &weight2_, &bias2_, &norm1_weight_,
      &norm1_bias_, &norm2_weight_, &norm2_bias_;
};

}  // namespace lanthorn::nn
