// Linear layers of n nodes at once, with activation and dropout: y = drop(act(x W^T + b)) for each node.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "engine/kernels/simd/operands.h"

namespace lanthorn::kernels {

// gelu is the exact one, gelu_tanh z / 2 (1 + tanh(sqrt(2 / pi) (z + 0.044715 z^3))), as GPT-2 has it; relu2:
// relu(z)^2.
enum class Activation { kNone, kGelu, kGeluTanh, kRelu, kRelu2 };

// "none", "gelu", "gelu_tanh", "relu" or "relu2"; false for another name.
bool FromText(const std::string& name, Activation* activation);

struct LinearOptions {
  Activation activation = Activation::kNone;
  double dropout = 0;
  int64_t seed = 0;                       // of the dropout (SeededDropout of the result)
  Operands operands = Operands::kFloats;  // of the products, in float32 on the CPU
};

// weight (out, in), bias (out) or undefined: x (N, ..., in) gives (N, ..., out). weight (n, out, in), bias (n, out):
// x (N, K, in), the same for all nodes, or (n, N, K, in) gives (n, N, K, out). N counts the samples: with a recorder
// open, the gradients' squares of each sample are reported, under the name `layer`. Wrong shapes are c10::Error with
// the tag [stacked_linear].
//
// float32 on the CPU goes through the fused kernel: weights packed once, activation and dropout while a tile is in
// registers, weight gradients sample by sample (kernels/README.md, split-K at samples) if a recorder asks for it. It
// has no second derivative (asking for one is an error), and its results are the same bits for any number of threads.
// Everything else goes through the reference.
at::Tensor StackedLinear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                         const LinearOptions& options = {}, const char* layer = "stacked_linear");

// The same from plain operators: the fallback, and the oracle.
at::Tensor StackedLinearReference(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                                  const LinearOptions& options = {}, const char* layer = "stacked_linear");

}  // namespace lanthorn::kernels
