// Activations and their slopes on one vector, per SIMD target.
#if defined(LANTHORN_KERNELS_ACTIVATION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANTHORN_KERNELS_ACTIVATION_INL_H_
#undef LANTHORN_KERNELS_ACTIVATION_INL_H_
#else
#define LANTHORN_KERNELS_ACTIVATION_INL_H_
#endif

#include <hwy/highway.h>

#include "engine/kernels/linear/stacked_linear.h"
#include "engine/kernels/recurrent/gates-inl.h"
#include "engine/kernels/simd/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanthorn::kernels::HWY_NAMESPACE {

struct Activated {
  V y, slope;
};

// z Phi(z) and Phi(z) + z phi(z). Phi by Abramowitz and Stegun 7.1.26 (absolute error 1e-7), whose exponential is
// phi's.
HWY_INLINE Activated Gelu(V z) {
  const D d;
  const V one = hn::Set(d, 1.0f), half = hn::Set(d, 0.5f);
  const V a = hn::Mul(hn::Abs(z), hn::Set(d, 0.70710678f));
  const V t = hn::Div(one, hn::MulAdd(hn::Set(d, 0.3275911f), a, one));
  V p = hn::MulAdd(hn::Set(d, 1.061405429f), t, hn::Set(d, -1.453152027f));
  p = hn::MulAdd(p, t, hn::Set(d, 1.421413741f));
  p = hn::MulAdd(p, t, hn::Set(d, -0.284496736f));
  p = hn::MulAdd(p, t, hn::Set(d, 0.254829592f));
  const V e = GateExp(hn::Neg(hn::Mul(a, a)));
  const V tail = hn::Mul(hn::Mul(half, hn::Mul(p, t)), e);
  const V phi = hn::IfThenElse(hn::Ge(z, hn::Zero(d)), hn::Sub(one, tail), tail);
  return {hn::Mul(z, phi), hn::MulAdd(hn::Mul(z, e), hn::Set(d, 0.39894228f), phi)};
}

// With u = sqrt(2 / pi) (z + c z^3): z / 2 (1 + tanh u), whose slope is (1 + tanh u) / 2 + z / 2 (1 - tanh(u)^2) u'.
HWY_INLINE Activated GeluTanh(V z) {
  const D d;
  const V one = hn::Set(d, 1.0f), half = hn::Set(d, 0.5f), root = hn::Set(d, 0.79788456f);
  const V square = hn::Mul(z, z);
  const V t = GateTanh(hn::Mul(hn::Mul(root, z), hn::MulAdd(hn::Set(d, 0.044715f), square, one)));
  const V share = hn::MulAdd(half, t, half);
  const V inner = hn::Mul(root, hn::MulAdd(hn::Set(d, 3 * 0.044715f), square, one));
  const V bend = hn::Mul(hn::Mul(half, z), hn::Mul(hn::NegMulAdd(t, t, one), inner));
  return {hn::Mul(z, share), hn::Add(share, bend)};
}

HWY_INLINE Activated ActivateVector(Activation activation, V z) {
  const D d;
  const V one = hn::Set(d, 1.0f);
  if (activation == Activation::kGelu) return Gelu(z);
  if (activation == Activation::kGeluTanh) return GeluTanh(z);
  if (activation == Activation::kNone) return {z, one};
  const auto negative = hn::Le(z, hn::Zero(d));  // false for NaN, which has to stay
  const V y = hn::IfThenZeroElse(negative, z);
  if (activation == Activation::kRelu) return {y, hn::IfThenZeroElse(negative, one)};
  return {hn::Mul(y, y), hn::Add(y, y)};
}

}  // namespace lanthorn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
