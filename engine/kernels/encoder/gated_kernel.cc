// Compiled once per SIMD target by Highway's foreach_target.

#include "engine/kernels/encoder/gated_kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/encoder/gated_kernel.cc"
// foreach_target.h must come before highway.h.
// clang-format off
#include "engine/kernels/simd/simd_targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "engine/kernels/encoder/dropout-inl.h"
#include "engine/kernels/recurrent/gates-inl.h"
#include "engine/kernels/simd/tile-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace lanthorn::kernels::HWY_NAMESPACE {

HWY_INLINE V Factors(const GatedLayout& l, const DropoutRow& key, int64_t column) {
  if (l.dropout == 0) return hn::Set(D(), 1.0f);
  return DropoutFactors(key, column, DropoutLimit(l.dropout), DropoutScale(l.dropout));
}

// Calls body(row, its key, column, how many of a vector's columns there are).
template <class Body>
HWY_INLINE void ForUnits(const GatedLayout& l, Body body) {
  for (int64_t row = 0; row < l.rows; ++row) {
    const DropoutRow key = l.dropout > 0 ? DropoutRowOf(l.seed, l.first_row + row) : DropoutRow{};
    for (int64_t c = 0; c < l.width; c += kLanes) body(row, key, c, l.width - c);
  }
}

void GatedForwardImpl(const GatedLayout& l, const float* wide, float* hidden) {
  ForUnits(l, [&](int64_t row, const DropoutRow& key, int64_t c, int64_t valid) HWY_ATTR {
    const float* from = wide + row * 2 * l.width + c;
    const V a = LoadLanes(from, valid), b = LoadLanes(from + l.width, valid);
    const V y = hn::Mul(hn::Mul(hn::Mul(a, GateSigmoid(a)), b), Factors(l, key, c));
    StoreLanes(y, hidden + row * l.width + c, valid);
  });
}

// silu'(a) = s (1 + a (1 - s)) with s = sigmoid(a)
void GatedBackwardImpl(const GatedLayout& l, const float* wide, const float* grad_hidden, float* grad_wide) {
  ForUnits(l, [&](int64_t row, const DropoutRow& key, int64_t c, int64_t valid) HWY_ATTR {
    const float* from = wide + row * 2 * l.width + c;
    float* to = grad_wide + row * 2 * l.width + c;
    const V a = LoadLanes(from, valid), b = LoadLanes(from + l.width, valid);
    const V grad = hn::Mul(LoadLanes(grad_hidden + row * l.width + c, valid), Factors(l, key, c));
    const V s = GateSigmoid(a), silu = hn::Mul(a, s);
    StoreLanes(hn::Mul(hn::Mul(grad, b), hn::MulAdd(silu, OneMinus(s), s)), to, valid);
    StoreLanes(hn::Mul(grad, silu), to + l.width, valid);
  });
}

}  // namespace lanthorn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lanthorn::kernels {
HWY_EXPORT(GatedForwardImpl);
HWY_EXPORT(GatedBackwardImpl);

void GatedForward(const GatedLayout& layout, const float* wide, float* hidden) {
  HWY_DYNAMIC_DISPATCH(GatedForwardImpl)(layout, wide, hidden);
}
void GatedBackward(const GatedLayout& layout, const float* wide, const float* grad_hidden, float* grad_wide) {
  HWY_DYNAMIC_DISPATCH(GatedBackwardImpl)(layout, wide, grad_hidden, grad_wide);
}
}  // namespace lanthorn::kernels
#endif  // HWY_ONCE
