#include "engine/nn/causal_mask.h"

#include <ATen/Functions.h>

#include <map>
#include <mutex>

namespace lanthorn::nn {

at::Tensor CausalMask(int64_t steps, c10::Device device) {
  static std::mutex mutex;
  static auto* const masks = new std::map<std::string, at::Tensor>;  // never destroyed: LibTorch may be gone by then
  const std::lock_guard<std::mutex> lock(mutex);
  at::Tensor& mask = (*masks)[device.str()];
  if (!mask.defined() || mask.size(0) < steps) {
    mask = at::ones({steps, steps}, at::TensorOptions(c10::kBool).device(device)).triu(1);
  }
  return mask.narrow(0, 0, steps).narrow(1, 0, steps);
}

}  // namespace lanthorn::nn
