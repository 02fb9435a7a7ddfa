// The element-wise part of a time step on one vector of hidden units, per SIMD target.
//
// GRU  (gates r, z, n):    r = sig(x_r + h_r)  z = sig(x_z + h_z)  m = W_hn h + b_hn  n = tanh(x_n + r m)
//                          h' = (1 - z) n + z h
// LSTM (gates i, f, g, o): c' = f c + i g,  h' = o tanh(c')
// where x_* is the input projection with its biases and h_* = W_h* h.
#if defined(LANTHORN_KERNELS_GATES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANTHORN_KERNELS_GATES_INL_H_
#undef LANTHORN_KERNELS_GATES_INL_H_
#else
#define LANTHORN_KERNELS_GATES_INL_H_
#endif

#include <hwy/highway.h>

#include "engine/kernels/simd/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanthorn::kernels::HWY_NAMESPACE {

// e^x for x limited to [-87, 88], where the gates are saturated; relative error below 2e-7 (Cody and Waite's reduction,
// Cephes' expf polynomial). NaN has to come out as NaN: min and max of some CPUs return the number instead.
HWY_INLINE V GateExp(V x) {
  const D d;
  const hn::RebindToSigned<D> di;
  const V limited = hn::Min(hn::Set(d, 88.0f), hn::Max(hn::Set(d, -87.0f), x));
  const auto k = hn::NearestInt(hn::Mul(limited, hn::Set(d, 1.44269504f)));
  const V n = hn::ConvertTo(d, k);
  const V r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), hn::NegMulAdd(n, hn::Set(d, 0.693359375f), limited));
  V p = hn::MulAdd(hn::Set(d, 1.9875691500e-4f), r, hn::Set(d, 1.3981999507e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 8.3334519073e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 4.1665795894e-2f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.6666665459e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 5.0000001201e-1f));
  p = hn::Add(hn::MulAdd(hn::Mul(r, r), p, r), hn::Set(d, 1.0f));
  const V y = hn::Mul(p, hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(k, hn::Set(di, 127)))));
  return hn::IfThenElse(hn::IsNaN(x), x, y);
}

HWY_INLINE V GateSigmoid(V x) {
  const V one = hn::Set(D(), 1.0f);
  return hn::Div(one, hn::Add(one, GateExp(hn::Neg(x))));
}

// tanh(x) = 1 - 2 / (exp(2x) + 1): one exp and one division; absolute error stays at float rounding of 1.
HWY_INLINE V GateTanh(V x) {
  const V one = hn::Set(D(), 1.0f), two = hn::Set(D(), 2.0f);
  return hn::Sub(one, hn::Div(two, hn::Add(GateExp(hn::Add(x, x)), one)));
}

HWY_INLINE V OneMinus(V x) { return hn::Sub(hn::Set(D(), 1.0f), x); }

struct GruDeltas {
  V r, z, n, m;  // gradients of the three gates' sums and of m
  V carry;       // what flows to h not through W_h
};

HWY_INLINE GruDeltas GruBackward(V r, V z, V n, V m, V h, V dy) {
  GruDeltas d;
  d.z = hn::Mul(hn::Mul(dy, hn::Sub(h, n)), hn::Mul(z, OneMinus(z)));
  d.n = hn::Mul(hn::Mul(dy, OneMinus(z)), OneMinus(hn::Mul(n, n)));
  d.r = hn::Mul(hn::Mul(d.n, m), hn::Mul(r, OneMinus(r)));
  d.m = hn::Mul(d.n, r);
  d.carry = hn::Mul(dy, z);
  return d;
}

struct LstmDeltas {
  V i, f, g, o;
  V dc;  // gradient of the cell state before the step
};

// c: cell state after the step, c_before: before it; dc: gradient of c from later steps.
HWY_INLINE LstmDeltas LstmBackward(V i, V f, V g, V o, V c, V c_before, V dy, V dc) {
  LstmDeltas d;
  const V tanh_c = GateTanh(c);
  const V cell = hn::MulAdd(hn::Mul(dy, o), OneMinus(hn::Mul(tanh_c, tanh_c)), dc);
  d.i = hn::Mul(hn::Mul(cell, g), hn::Mul(i, OneMinus(i)));
  d.f = hn::Mul(hn::Mul(cell, c_before), hn::Mul(f, OneMinus(f)));
  d.g = hn::Mul(hn::Mul(cell, i), OneMinus(hn::Mul(g, g)));
  d.o = hn::Mul(hn::Mul(dy, tanh_c), hn::Mul(o, OneMinus(o)));
  d.dc = hn::Mul(cell, f);
  return d;
}

}  // namespace lanthorn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
