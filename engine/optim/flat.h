// What the optimisers share in handing tensors to kernels/update/flat_updates.h, and in masking plain updates.
#pragma once

#include <vector>

#include "engine/kernels/update/flat_updates.h"
#include "engine/optim/select/update_mask.h"

namespace lanthorn::optim {

inline float F(double value) { return static_cast<float>(value); }

// A part of a flat parameter that is updated in one way.
struct Slice {
  int64_t index, begin, size;
  float apply = 1, least = 0;
  double gradient = 1;
};
// The slices of a mask that an update has to visit, of a float32 parameter on the CPU.
std::vector<Slice> Slices(const PartMask& mask, const at::Tensor& p);

// The parameter is about to be written behind autograd's back, so its version goes up as an in-place operator's would.
inline kernels::FlatTensor FlatTensor(const at::Tensor& p, const at::Tensor& gradient, double scale, double l2,
                                      const Slice& slice) {
  p.unsafeGetTensorImpl()->bump_version();
  return {slice.size,
          p.data_ptr<float>() + slice.begin,
          gradient.data_ptr<float>() + slice.begin,
          F(scale * slice.gradient),
          F(l2),
          slice.apply,
          slice.least};
}

// The gradient as plain operators take it.
at::Tensor Scaled(const at::Tensor& gradient, double scale, const PartMask& mask);
// One value for each slice of dimension 0 (or one for all), in a shape that broadcasts over `like`.
at::Tensor PerSlice(const at::Tensor& values, const at::Tensor& like);

// Values before a masked update by plain operators, on any device, and what is put back after it.
class MaskedUpdate {
 public:
  MaskedUpdate(const PartMask& mask, at::Tensor p, at::Tensor gradient, std::vector<at::Tensor> state);
  void Finish();

 private:
  const PartMask& mask_;
  at::Tensor p_, gradient_, before_;
  std::vector<at::Tensor> state_, state_before_;
};

}  // namespace lanthorn::optim
