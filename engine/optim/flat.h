// What the optimisers share in handing tensors to kernels/flat_updates.h.
#pragma once

#include "engine/kernels/flat_updates.h"

namespace lanthorn::optim {

inline float F(double value) { return static_cast<float>(value); }

// The parameter is about to be written behind autograd's back, so its version goes up as an in-place operator's would.
inline kernels::FlatTensor FlatTensor(const at::Tensor& p, const at::Tensor& gradient, double scale, double l2) {
  p.unsafeGetTensorImpl()->bump_version();
  return {p.numel(), p.data_ptr<float>(), gradient.data_ptr<float>(), F(scale), F(l2)};
}

}  // namespace lanthorn::optim
