// Transformer encoder blocks of n nodes side by side, from input to output in one operator (Vaswani et al. 2017,
// post-norm, exact GELU): a = norm1(x + attention(x)), y = norm2(a + linear2(drop(gelu(linear1(a))))).
#pragma once

#include <ATen/core/Tensor.h>

#include <array>

namespace lanthorn::kernels {

// The parameters of all nodes, stacked along dimension 0, in the order in which torch.nn.TransformerEncoderLayer has
// them: weights (n, out, in), everything else (n, out). None may be undefined.
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

struct EncoderOptions {
  int64_t heads = 1;
  bool causal = true;
  bool mean = false;   // of all nodes' outputs
  double dropout = 0;  // on attention weights, hidden units and linear2's output, each with its seed
  int64_t attention_seed = 0, hidden_seed = 0, output_seed = 0;
  double eps = 1e-5;
};

// x (N, T, d), one input for all nodes, or (n, N, T, d). Gives (n, N, T, d), or their mean (N, T, d). padding: as
// Attention takes it. With a recorder open, the gradients' squares of each of the N samples are reported under the
// name `layer`. Wrong shapes are c10::Error with the tag [encoder_blocks].
//
// float32 on the CPU goes through the fused kernel: a node after the other, a few samples at a time through the whole
// block, so that what lies between its parts stays in cache and only what the backward needs is written to memory. It
// has no second derivative (asking for one is an error), and its results are the same bits for any number of threads.
// Everything else goes through the reference.
at::Tensor EncoderBlocks(const at::Tensor& x, const at::Tensor& padding, const EncoderParameters& parameters,
                         const EncoderOptions& options, const char* layer = "encoder_blocks");

// The same from this folder's operators, one after the other for all nodes: the fallback, and the oracle.
at::Tensor EncoderBlocksReference(const at::Tensor& x, const at::Tensor& padding, const EncoderParameters& parameters,
                                  const EncoderOptions& options, const char* layer = "encoder_blocks");

}  // namespace lanthorn::kernels
