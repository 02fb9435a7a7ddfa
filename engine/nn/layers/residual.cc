#include "engine/nn/layers/residual.h"

#include <ATen/TensorOperators.h>

namespace lanthorn::nn {

int64_t Residual::StateSize() const {
  const Module& layer = *children().front().second;
  return layer.scripted() ? 0 : layer.StateSize();
}

at::Tensor Residual::Compute(const at::Tensor& input, State* state) {
  const at::Tensor y = children().front().second->Forward(input, StateSize() > 0 ? state : nullptr);
  TORCH_CHECK(y.sizes() == input.sizes(), "[Residual] the layer must keep the shape, got ", y.sizes(), " from ",
              input.sizes());
  return input + y;
}

}  // namespace lanthorn::nn
