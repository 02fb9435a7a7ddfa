// The mask of causal attention: one buffer for each device, sliced and never rebuilt.
#pragma once

#include <ATen/core/Tensor.h>

namespace lanthorn::kernels {

// (length, length) bool, true where a key lies after its query. A slice of the device's buffer, which grows to the
// longest sequence seen, rounded up; not to be written to.
at::Tensor CausalMask(c10::Device device, int64_t length);

}  // namespace lanthorn::kernels
