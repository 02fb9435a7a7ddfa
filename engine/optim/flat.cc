#include "engine/optim/flat.h"

#include <ATen/Functions.h>

namespace lanthorn::optim {

std::vector<Slice> Slices(const PartMask& mask, const at::Tensor& p) {
  if (mask.ok.defined() && *mask.ok.data_ptr<double>() == 0) return {};
  const float least = mask.least.defined() ? mask.least.item<float>() : 0;
  if (!mask.factors.defined()) return {{0, 0, p.numel(), 1, least, 1}};
  const int64_t count = mask.factors.numel(), size = count == 0 ? 0 : p.numel() / count;
  const float* factors = mask.factors.data_ptr<float>();
  std::vector<Slice> slices;
  for (int64_t i = 0; i < count; ++i) {
    if (mask.lazy && factors[i] == 0) continue;
    if (mask.gradient) {
      slices.push_back({i, i * size, size, 1, least, factors[i]});
    } else {
      slices.push_back({i, i * size, size, factors[i], least, 1});
    }
  }
  return slices;
}

at::Tensor PerSlice(const at::Tensor& values, const at::Tensor& like) {
  std::vector<int64_t> shape(static_cast<size_t>(like.dim()), 1);
  if (values.numel() > 1) shape[0] = values.numel();
  return values.reshape(shape).to(like.scalar_type());
}

at::Tensor Scaled(const at::Tensor& gradient, double scale, const PartMask& mask) {
  const at::Tensor scaled = scale == 1 ? gradient : gradient * scale;
  return mask.gradient && mask.factors.defined() ? scaled * PerSlice(mask.factors, gradient) : scaled;
}

MaskedUpdate::MaskedUpdate(const PartMask& mask, at::Tensor p, at::Tensor gradient, std::vector<at::Tensor> state)
    : mask_(mask), p_(std::move(p)), gradient_(std::move(gradient)), state_(std::move(state)) {
  if (mask_.IsWhole()) return;
  before_ = p_.clone();
  if (!mask_.ok.defined() && (!mask_.lazy || !mask_.factors.defined())) return;
  for (const at::Tensor& tensor : state_) state_before_.push_back(tensor.defined() ? tensor.clone() : tensor);
}

void MaskedUpdate::Finish() {
  if (!before_.defined()) return;
  at::Tensor next = p_;
  if (mask_.factors.defined()) {
    const at::Tensor f = PerSlice(mask_.factors, p_);
    if (!mask_.gradient) {
      // where, not a product alone: exact at both ends.
      next = at::where(f.eq(1), p_, at::where(f.eq(0), before_, before_ + f * (p_ - before_)));
    } else if (mask_.lazy) {
      next = at::where(f.eq(0), before_, p_);
    }
  }
  if (mask_.least.defined()) next = at::where(gradient_.abs().ge(mask_.least), next, before_);
  if (mask_.ok.defined()) next = at::where(mask_.ok.eq(0), before_, next);
  for (size_t i = 0; i < state_before_.size(); ++i) {
    if (!state_before_[i].defined()) continue;
    at::Tensor held;
    if (mask_.lazy && mask_.factors.defined()) held = PerSlice(mask_.factors, state_[i]).eq(0);
    if (mask_.ok.defined()) held = held.defined() ? held.logical_or(mask_.ok.eq(0)) : mask_.ok.eq(0);
    state_[i].copy_(at::where(held, state_before_[i], state_[i]));
  }
  if (!next.is_same(p_)) p_.copy_(next);
}

}  // namespace lanthorn::optim
