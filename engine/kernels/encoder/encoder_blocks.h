// Transformer blocks of n nodes side by side, from input to output in one operator. With attend(x) = out_proj attention
// and feed(x) = linear2 drop(act(linear1 x)):
//   post-norm (Vaswani et al. 2017)  a = norm1(x + drop(attend(x))),  y = norm2(a + drop(feed(a)))
//   pre-norm (Xiong et al. 2020)     a = x + drop(attend(norm1(x))),  y = a + drop(feed(norm2(a)))
#pragma once

#include <ATen/core/Tensor.h>

#include <array>

#include "engine/kernels/attention/relation_bias.h"
#include "engine/kernels/linear/stacked_linear.h"

namespace lanthorn::kernels {

// The parameters of all nodes, stacked along dimension 0, in the order in which torch.nn.TransformerEncoderLayer has
// them: weights (n, out, in), everything else (n, out). Or those of one block, without that dimension. Undefined may
// be: all biases of the linear layers; both norms' weights with their biases, or their biases alone.
enum EncoderParameter {
  kInWeight,
  kInBias,
  kOutWeight,
  kOutBias,
  kWeight1,
  kBias1,
  kWeight2,
  kBias2,
  kNorm1Weight,
  kNorm1Bias,
  kNorm2Weight,
  kNorm2Bias,
  kEncoderParameters
};
using EncoderParameters = std::array<at::Tensor, kEncoderParameters>;

// Where a block drops, in the order of the forward: attention weights, what the attention adds, hidden units, what the
// feed-forward layers add.
enum EncoderDrop { kDropAttention, kDropAttended, kDropHidden, kDropFed, kEncoderDrops };

struct EncoderOptions {
  int64_t heads = 1;
  bool causal = true;
  bool mean = false;        // of all nodes' outputs
  bool norm_first = false;  // pre-norm
  bool rms = false;         // RMSNorm in place of LayerNorm
  Activation activation = Activation::kGelu;
  bool gated = false;  // SwiGLU (Shazeer 2020): silu of the first half of linear1's rows times the second
  std::array<double, kEncoderDrops> dropout = {};
  std::array<int64_t, kEncoderDrops> seeds = {};
  double eps = 1e-5;
};

// x (N, T, d), one input for all nodes, or (n, N, T, d). Gives (n, N, T, d), or their mean (N, T, d); of one block
// (N, T, d). padding and bias: as Attention takes them, a bias for one block alone. The heads' width together is that
// of in_proj, which need not be d. With a recorder open, the gradients' squares of each of the N samples are reported
// under the name `layer`. Wrong shapes are c10::Error with the tag [encoder_blocks].
//
// float32 on the CPU goes through the fused kernel: a node after the other, a few samples at a time through the whole
// block, so that what lies between its parts stays in cache and only what the backward needs is written to memory. In
// precision bf16 (gemm/precision.h) the products with weights have bf16 operands; all else is fp32, and so is
// fp32_split. It has no second derivative (asking for one is an error), and its results are the same bits for any
// number of threads. Everything else goes through the reference. In a RecomputeScope (recompute.h) its input alone is
// kept for the backward.
at::Tensor EncoderBlocks(const at::Tensor& x, const at::Tensor& padding, const EncoderParameters& parameters,
                         const EncoderOptions& options, const char* layer = "encoder_blocks",
                         const RelationBias& bias = {});

// The same from this folder's operators, one after the other for all nodes: the fallback, and the oracle.
at::Tensor EncoderBlocksReference(const at::Tensor& x, const at::Tensor& padding, const EncoderParameters& parameters,
                                  const EncoderOptions& options, const char* layer = "encoder_blocks",
                                  const RelationBias& bias = {});

}  // namespace lanthorn::kernels
