#include <ATen/Functions.h>

#include "engine/kernels/encoder/dropout.h"
#include "engine/kernels/linear/stacked_linear.h"
#include "engine/tscore/samplers.h"

namespace lanthorn::kernels {
namespace {

at::Tensor Activate(const at::Tensor& z, Activation activation) {
  switch (activation) {
    case Activation::kNone:
      return z;
    case Activation::kGelu:
      return at::gelu(z);
    case Activation::kGeluTanh:
      return at::gelu(z, "tanh");
    case Activation::kRelu:
      return at::relu(z);
    case Activation::kRelu2:
      return at::relu(z).square();
  }
  return z;
}

}  // namespace

at::Tensor StackedLinearReference(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                                  const LinearOptions& options, const char* layer) {
  at::Tensor z;
  if (weight.dim() == 2) {
    z = at::linear(x, weight, bias);
    tscore::SampleLinear(z, x, weight, bias, layer);
  } else {
    z = at::matmul(x, weight.transpose(1, 2).unsqueeze(1));  // (n, N, K, out)
    if (bias.defined()) z = z + bias.view({weight.size(0), 1, 1, weight.size(1)});
    tscore::SampleStackedLinear(z, x, weight, bias, layer);
  }
  return SeededDropout(Activate(z, options.activation), options.dropout, options.seed);
}

}  // namespace lanthorn::kernels
