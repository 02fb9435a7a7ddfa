// The last linear layer of a classifier and its loss in one sweep: loss = mean over counted targets of
// -log softmax(x W^T + b)[target].
//
// The logits of all rows never exist at once: a block of rows is multiplied, normalised, turned into the gradient of
// its logits in place, and used for the gradients of x, W and b while it is in cache. The forward makes all gradients
// that will be wanted, the backward only scales them. With a recorder open, the gradient of W is taken sample by sample
// (kernels/README.md: split-K at samples, or Gram products where a sample has few positions), so that the samples'
// norms come with it. They are the norms of the samples' shares of the mean: a sample with more counted targets weighs
// more. Where fewer than half of the targets count, as with masked tokens, the rows of the others are not computed.
//
// The bits do not depend on the number of threads while W has at most kSplitWeights elements and there are at least two
// samples (with a recorder) or rows (without). Beyond, the products themselves run on all threads, and the BLAS
// decides.
#pragma once

#include <ATen/core/Tensor.h>

namespace lanthorn::kernels {

inline constexpr int64_t kIgnoredTarget = -100;
inline constexpr int64_t kSplitWeights = int64_t{1} << 20;

// input (N, ..., C); weight (V, C); bias (V) or undefined; target (N, ...) int64, values in [0, V) or `ignore_index`.
// Dimension 0 is the sample. The result is a scalar, NaN when nothing is counted. float32 on the CPU goes through the
// fused kernel, which has no second derivative (asking for one is an error); everything else goes through the
// reference. Wrong shapes are c10::Error with the tag [linear_cross_entropy], a target out of range one that names it
// and V.
at::Tensor LinearCrossEntropy(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias,
                              const at::Tensor& target, int64_t ignore_index = kIgnoredTarget);

// The same from plain operators: the fallback, and the oracle.
at::Tensor LinearCrossEntropyReference(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias,
                                       const at::Tensor& target, int64_t ignore_index = kIgnoredTarget);

}  // namespace lanthorn::kernels
