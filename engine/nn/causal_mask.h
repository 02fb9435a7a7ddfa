// The mask of causal attention: one buffer for each device, made once and sliced.
#pragma once

#include <ATen/core/Tensor.h>

namespace lanthorn::nn {

// (T, T), true where the key comes after the query. A view into a buffer that is kept; it grows when T does.
at::Tensor CausalMask(int64_t steps, c10::Device device);

}  // namespace lanthorn::nn
