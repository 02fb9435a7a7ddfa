#include "engine/kernels/attention/causal_mask.h"

#include <ATen/Functions.h>

#include <map>
#include <mutex>

namespace lanthorn::kernels {

at::Tensor CausalMask(c10::Device device, int64_t length) {
  static std::mutex mutex;
  static auto* const buffers = new std::map<std::string, at::Tensor>;  // never destroyed: devices may be gone by then
  const std::lock_guard<std::mutex> lock(mutex);
  at::Tensor& buffer = (*buffers)[device.str()];
  if (!buffer.defined() || buffer.size(0) < length) {
    int64_t size = 128;
    while (size < length) size *= 2;
    buffer = at::ones({size, size}, at::TensorOptions(c10::kBool).device(device)).triu(1);
  }
  return buffer.narrow(0, 0, length).narrow(1, 0, length);
}

}  // namespace lanthorn::kernels
