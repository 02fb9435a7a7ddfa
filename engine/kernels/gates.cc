// Compiled once per SIMD target by Highway's foreach_target; the float functions at the end pick one at run time.
#include "engine/kernels/gates.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/gates.cc"
// foreach_target.h must come before highway.h.
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace lanthorn::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Calls body(tag, i) for i in steps of a full vector, then lane by lane for the rest.
template <class Body>
HWY_INLINE void ForEach(int64_t size, Body body) {
  const hn::ScalableTag<float> full;
  const hn::CappedTag<float, 1> one;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(full));
  int64_t i = 0;
  for (; i + lanes <= size; i += lanes) body(full, i);
  for (; i < size; ++i) body(one, i);
}

// Highway's Exp is wrong above 104 and makes NaN 0. At 88 the gates are saturated; NaN has to come out as NaN.
template <class D, class V>
HWY_INLINE V GateExp(D d, V x) {
  return hn::IfThenElse(hn::IsNaN(x), x, hn::Exp(d, hn::Min(x, hn::Set(d, 88.0f))));
}

template <class D, class V>
HWY_INLINE V GateSigmoid(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  return hn::Div(one, hn::Add(one, GateExp(d, hn::Neg(x))));
}

// tanh(x) = 1 - 2 / (exp(2x) + 1): one exp and one division; absolute error stays at float rounding of 1.
template <class D, class V>
HWY_INLINE V GateTanh(D d, V x) {
  const V one = hn::Set(d, 1.0f), two = hn::Set(d, 2.0f);
  return hn::Sub(one, hn::Div(two, hn::Add(GateExp(d, hn::Add(x, x)), one)));
}

void GruForwardImpl(int64_t H, const StepRow<float>& row) {
  ForEach(H, [&](auto d, int64_t i) HWY_ATTR {
    const auto at = [&](const float* p, int64_t gate) HWY_ATTR { return hn::LoadU(d, p + gate * H + i); };
    const auto r = GateSigmoid(
        d, hn::Add(hn::Add(at(row.gates, 0), at(row.bias_ih, 0)), hn::Add(at(row.hidden, 0), at(row.bias_hh, 0))));
    const auto z = GateSigmoid(
        d, hn::Add(hn::Add(at(row.gates, 1), at(row.bias_ih, 1)), hn::Add(at(row.hidden, 1), at(row.bias_hh, 1))));
    const auto m = hn::Add(at(row.hidden, 2), at(row.bias_hh, 2));
    const auto n = GateTanh(d, hn::MulAdd(r, m, hn::Add(at(row.gates, 2), at(row.bias_ih, 2))));
    const auto h = hn::LoadU(d, row.h_before + i);
    hn::StoreU(r, d, row.gates + i);
    hn::StoreU(z, d, row.gates + H + i);
    hn::StoreU(n, d, row.gates + 2 * H + i);
    hn::StoreU(m, d, row.extra + i);
    hn::StoreU(hn::MulAdd(z, hn::Sub(h, n), n), d, row.h + i);
  });
}

void GruBackwardImpl(int64_t H, const StepRow<float>& row, float* dh, float* delta_ih, float* delta_hh) {
  ForEach(H, [&](auto d, int64_t i) HWY_ATTR {
    const auto one = hn::Set(d, 1.0f);
    const auto r = hn::LoadU(d, row.gates + i), z = hn::LoadU(d, row.gates + H + i),
               n = hn::LoadU(d, row.gates + 2 * H + i);
    const auto m = hn::LoadU(d, row.extra + i), h = hn::LoadU(d, row.h_before + i), dy = hn::LoadU(d, dh + i);
    const auto dz = hn::Mul(hn::Mul(dy, hn::Sub(h, n)), hn::Mul(z, hn::Sub(one, z)));
    const auto dn = hn::Mul(hn::Mul(dy, hn::Sub(one, z)), hn::Sub(one, hn::Mul(n, n)));
    const auto dr = hn::Mul(hn::Mul(dn, m), hn::Mul(r, hn::Sub(one, r)));
    hn::StoreU(dr, d, delta_ih + i);
    hn::StoreU(dz, d, delta_ih + H + i);
    hn::StoreU(dn, d, delta_ih + 2 * H + i);
    hn::StoreU(dr, d, delta_hh + i);
    hn::StoreU(dz, d, delta_hh + H + i);
    hn::StoreU(hn::Mul(dn, r), d, delta_hh + 2 * H + i);
    hn::StoreU(hn::Mul(dy, z), d, dh + i);
  });
}

void LstmForwardImpl(int64_t H, const StepRow<float>& row) {
  ForEach(H, [&](auto d, int64_t k) HWY_ATTR {
    const auto sum = [&](int64_t gate) HWY_ATTR {
      const int64_t at = gate * H + k;
      return hn::Add(hn::Add(hn::LoadU(d, row.gates + at), hn::LoadU(d, row.bias_ih + at)),
                     hn::Add(hn::LoadU(d, row.hidden + at), hn::LoadU(d, row.bias_hh + at)));
    };
    const auto i = GateSigmoid(d, sum(0)), f = GateSigmoid(d, sum(1)), g = GateTanh(d, sum(2)),
               o = GateSigmoid(d, sum(3));
    const auto c = hn::MulAdd(f, hn::LoadU(d, row.c_before + k), hn::Mul(i, g));
    hn::StoreU(i, d, row.gates + k);
    hn::StoreU(f, d, row.gates + H + k);
    hn::StoreU(g, d, row.gates + 2 * H + k);
    hn::StoreU(o, d, row.gates + 3 * H + k);
    hn::StoreU(c, d, row.extra + k);
    hn::StoreU(hn::Mul(o, GateTanh(d, c)), d, row.h + k);
  });
}

void LstmBackwardImpl(int64_t H, const StepRow<float>& row, float* dh, float* dc, float* delta) {
  ForEach(H, [&](auto d, int64_t k) HWY_ATTR {
    const auto one = hn::Set(d, 1.0f);
    const auto i = hn::LoadU(d, row.gates + k), f = hn::LoadU(d, row.gates + H + k);
    const auto g = hn::LoadU(d, row.gates + 2 * H + k), o = hn::LoadU(d, row.gates + 3 * H + k);
    const auto dy = hn::LoadU(d, dh + k), tanh_c = GateTanh(d, hn::LoadU(d, row.extra + k));
    const auto dcell = hn::MulAdd(hn::Mul(dy, o), hn::Sub(one, hn::Mul(tanh_c, tanh_c)), hn::LoadU(d, dc + k));
    hn::StoreU(hn::Mul(hn::Mul(dcell, g), hn::Mul(i, hn::Sub(one, i))), d, delta + k);
    hn::StoreU(hn::Mul(hn::Mul(dcell, hn::LoadU(d, row.c_before + k)), hn::Mul(f, hn::Sub(one, f))), d, delta + H + k);
    hn::StoreU(hn::Mul(hn::Mul(dcell, i), hn::Sub(one, hn::Mul(g, g))), d, delta + 2 * H + k);
    hn::StoreU(hn::Mul(hn::Mul(dy, tanh_c), hn::Mul(o, hn::Sub(one, o))), d, delta + 3 * H + k);
    hn::StoreU(hn::Mul(dcell, f), d, dc + k);
    hn::StoreU(hn::Zero(d), d, dh + k);
  });
}

double SquareAndAccumulateImpl(int64_t size, const float* tile, float* sum) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  constexpr int64_t kBlock = 4096;  // float partial sums stay short, blocks add up in double
  double total = 0;
  for (int64_t first = 0; first < size; first += kBlock) {
    const int64_t end = first + kBlock < size ? first + kBlock : size;
    auto a = hn::Zero(d), b = hn::Zero(d);
    int64_t i = first;
    for (; i + 2 * lanes <= end; i += 2 * lanes) {
      const auto x = hn::LoadU(d, tile + i), y = hn::LoadU(d, tile + i + lanes);
      a = hn::MulAdd(x, x, a);
      b = hn::MulAdd(y, y, b);
      hn::StoreU(hn::Add(hn::LoadU(d, sum + i), x), d, sum + i);
      hn::StoreU(hn::Add(hn::LoadU(d, sum + i + lanes), y), d, sum + i + lanes);
    }
    total += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, hn::Add(a, b))));
    for (; i < end; ++i) {
      total += static_cast<double>(tile[i]) * static_cast<double>(tile[i]);
      sum[i] += tile[i];
    }
  }
  return total;
}

}  // namespace lanthorn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <cmath>

namespace lanthorn::kernels {
HWY_EXPORT(GruForwardImpl);
HWY_EXPORT(GruBackwardImpl);
HWY_EXPORT(LstmForwardImpl);
HWY_EXPORT(LstmBackwardImpl);
HWY_EXPORT(SquareAndAccumulateImpl);

template <>
void GruForward(int64_t hidden_size, const StepRow<float>& row) {
  HWY_DYNAMIC_DISPATCH(GruForwardImpl)(hidden_size, row);
}
template <>
void GruBackward(int64_t hidden_size, const StepRow<float>& row, float* dh, float* delta_ih, float* delta_hh) {
  HWY_DYNAMIC_DISPATCH(GruBackwardImpl)(hidden_size, row, dh, delta_ih, delta_hh);
}
template <>
void LstmForward(int64_t hidden_size, const StepRow<float>& row) {
  HWY_DYNAMIC_DISPATCH(LstmForwardImpl)(hidden_size, row);
}
template <>
void LstmBackward(int64_t hidden_size, const StepRow<float>& row, float* dh, float* dc, float* delta) {
  HWY_DYNAMIC_DISPATCH(LstmBackwardImpl)(hidden_size, row, dh, dc, delta);
}
double SquareAndAccumulate(int64_t size, const float* tile, float* sum) {
  return HWY_DYNAMIC_DISPATCH(SquareAndAccumulateImpl)(size, tile, sum);
}

namespace {
double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
}  // namespace

template <>
void GruForward(int64_t H, const StepRow<double>& row) {
  for (int64_t i = 0; i < H; ++i) {
    const double r = Sigmoid(row.gates[i] + row.bias_ih[i] + row.hidden[i] + row.bias_hh[i]);
    const double z = Sigmoid(row.gates[H + i] + row.bias_ih[H + i] + row.hidden[H + i] + row.bias_hh[H + i]);
    const double m = row.hidden[2 * H + i] + row.bias_hh[2 * H + i];
    const double n = std::tanh(row.gates[2 * H + i] + row.bias_ih[2 * H + i] + r * m);
    row.gates[i] = r;
    row.gates[H + i] = z;
    row.gates[2 * H + i] = n;
    row.extra[i] = m;
    row.h[i] = (1 - z) * n + z * row.h_before[i];
  }
}

template <>
void GruBackward(int64_t H, const StepRow<double>& row, double* dh, double* delta_ih, double* delta_hh) {
  for (int64_t i = 0; i < H; ++i) {
    const double r = row.gates[i], z = row.gates[H + i], n = row.gates[2 * H + i], dy = dh[i];
    const double dz = dy * (row.h_before[i] - n) * z * (1 - z);
    const double dn = dy * (1 - z) * (1 - n * n);
    const double dr = dn * row.extra[i] * r * (1 - r);
    delta_ih[i] = delta_hh[i] = dr;
    delta_ih[H + i] = delta_hh[H + i] = dz;
    delta_ih[2 * H + i] = dn;
    delta_hh[2 * H + i] = dn * r;
    dh[i] = dy * z;
  }
}

template <>
void LstmForward(int64_t H, const StepRow<double>& row) {
  const auto sum = [&](int64_t at) { return row.gates[at] + row.bias_ih[at] + row.hidden[at] + row.bias_hh[at]; };
  for (int64_t k = 0; k < H; ++k) {
    const double i = Sigmoid(sum(k)), f = Sigmoid(sum(H + k)), g = std::tanh(sum(2 * H + k)),
                 o = Sigmoid(sum(3 * H + k));
    const double c = f * row.c_before[k] + i * g;
    row.gates[k] = i;
    row.gates[H + k] = f;
    row.gates[2 * H + k] = g;
    row.gates[3 * H + k] = o;
    row.extra[k] = c;
    row.h[k] = o * std::tanh(c);
  }
}

template <>
void LstmBackward(int64_t H, const StepRow<double>& row, double* dh, double* dc, double* delta) {
  for (int64_t k = 0; k < H; ++k) {
    const double i = row.gates[k], f = row.gates[H + k], g = row.gates[2 * H + k], o = row.gates[3 * H + k];
    const double tanh_c = std::tanh(row.extra[k]), dcell = dh[k] * o * (1 - tanh_c * tanh_c) + dc[k];
    delta[k] = dcell * g * i * (1 - i);
    delta[H + k] = dcell * row.c_before[k] * f * (1 - f);
    delta[2 * H + k] = dcell * i * (1 - g * g);
    delta[3 * H + k] = dh[k] * tanh_c * o * (1 - o);
    dc[k] = dcell * f;
    dh[k] = 0;
  }
}

double SquareAndAccumulate(int64_t size, const double* tile, double* sum) {
  double total = 0;
  for (int64_t i = 0; i < size; ++i) {
    total += tile[i] * tile[i];
    sum[i] += tile[i];
  }
  return total;
}

}  // namespace lanthorn::kernels
#endif  // HWY_ONCE
