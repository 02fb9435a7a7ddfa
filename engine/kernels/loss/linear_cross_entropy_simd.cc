// Compiled once per SIMD target by Highway's foreach_target; the functions at the end pick one at run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/loss/linear_cross_entropy_simd.cc"
// foreach_target.h must come before highway.h.
// clang-format off
#include "engine/kernels/simd/simd_targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace lanthorn::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Adds the bias; gives the largest logit. A NaN may get lost here, Exponentials finds it.
float AddBiasAndMax(int64_t V, float* logits, const float* bias) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  auto largest = hn::Set(d, logits[0] + (bias != nullptr ? bias[0] : 0.0f));
  int64_t i = 0;
  for (; i + lanes <= V; i += lanes) {
    auto z = hn::LoadU(d, logits + i);
    if (bias != nullptr) {
      z = hn::Add(z, hn::LoadU(d, bias + i));
      hn::StoreU(z, d, logits + i);
    }
    largest = hn::Max(largest, z);
  }
  float most = hn::GetLane(hn::MaxOfLanes(d, largest));
  for (; i < V; ++i) {
    if (bias != nullptr) logits[i] += bias[i];
    if (logits[i] > most) most = logits[i];
  }
  return most;
}

// logits = exp(logits - most); gives their sum. Float sums stay short, blocks add up in double.
double Exponentials(int64_t V, float* logits, float most) {
  constexpr int64_t kBlock = 1024;
  const hn::ScalableTag<float> full;
  const hn::CappedTag<float, 1> one;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(full));
  // Highway's Exp makes NaN 0.
  const auto exponential = [&](auto d, int64_t i) HWY_ATTR {
    const auto x = hn::Sub(hn::LoadU(d, logits + i), hn::Set(d, most));
    const auto e = hn::IfThenElse(hn::IsNaN(x), x, hn::Exp(d, x));
    hn::StoreU(e, d, logits + i);
    return e;
  };
  double total = 0;
  for (int64_t first = 0; first < V; first += kBlock) {
    const int64_t end = first + kBlock < V ? first + kBlock : V;
    auto sum = hn::Zero(full);
    int64_t i = first;
    for (; i + lanes <= end; i += lanes) sum = hn::Add(sum, exponential(full, i));
    total += static_cast<double>(hn::GetLane(hn::SumOfLanes(full, sum)));
    for (; i < end; ++i) total += static_cast<double>(hn::GetLane(exponential(one, i)));
  }
  return total;
}

void Multiply(int64_t V, float* row, float factor) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto by = hn::Set(d, factor);
  int64_t i = 0;
  for (; i + lanes <= V; i += lanes) hn::StoreU(hn::Mul(by, hn::LoadU(d, row + i)), d, row + i);
  for (; i < V; ++i) row[i] *= factor;
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

#include "engine/kernels/loss/linear_cross_entropy_kernel.h"

namespace lanthorn::kernels {
HWY_EXPORT(AddBiasAndMax);
HWY_EXPORT(Exponentials);
HWY_EXPORT(Multiply);
HWY_EXPORT(SquareAndAccumulateImpl);

double SquareAndAccumulate(int64_t size, const float* tile, float* sum) {
  return HWY_DYNAMIC_DISPATCH(SquareAndAccumulateImpl)(size, tile, sum);
}

RowLoss CrossEntropyRow(int64_t V, float* logits, const float* bias, int64_t target, float scale, bool gradient) {
  const float most = HWY_DYNAMIC_DISPATCH(AddBiasAndMax)(V, logits, bias);
  const double own = static_cast<double>(logits[target]);
  const double sum = HWY_DYNAMIC_DISPATCH(Exponentials)(V, logits, most);
  if (gradient) {
    HWY_DYNAMIC_DISPATCH(Multiply)(V, logits, static_cast<float>(static_cast<double>(scale) / sum));
    logits[target] -= scale;
  }
  const double log_sum = std::log(sum) + static_cast<double>(most);
  return {log_sum - own, log_sum};
}

}  // namespace lanthorn::kernels
#endif  // HWY_ONCE
