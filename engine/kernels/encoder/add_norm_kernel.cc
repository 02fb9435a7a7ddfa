// Compiled once per SIMD target by Highway's foreach_target.

#include "engine/kernels/encoder/add_norm_kernel.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/encoder/add_norm_kernel.cc"
// foreach_target.h must come before highway.h.
// clang-format off
#include "engine/kernels/simd/simd_targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "engine/kernels/encoder/dropout-inl.h"
#include "engine/kernels/simd/tile-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace lanthorn::kernels::HWY_NAMESPACE {

// One column at the end of a row, as a vector of one.
using One = hn::CappedTag<float, 1>;

// Calls body(tag, column) for whole vectors, then for the columns that are left.
template <class Body>
HWY_INLINE void ForColumns(int64_t size, Body body) {
  int64_t c = 0;
  for (; c + kLanes <= size; c += kLanes) body(D(), c);
  for (; c < size; ++c) body(One(), c);
}

// Sums of a row: whole vectors and the rest apart.
struct Sum {
  V whole;
  float rest;
  template <class Tag>
  HWY_INLINE void Add(Tag, hn::Vec<Tag> x) {
    if constexpr (std::is_same_v<Tag, D>) {
      whole = hn::Add(whole, x);
    } else {
      rest += hn::GetLane(x);
    }
  }
  HWY_INLINE float Total() const { return hn::GetLane(hn::SumOfLanes(D(), whole)) + rest; }
};

struct RowDropout {
  DropoutRow key;
  int32_t limit;
  float scale;
  template <class Tag>
  HWY_INLINE hn::Vec<Tag> Factors(Tag tag, int64_t c) const {
    if constexpr (std::is_same_v<Tag, D>) {
      return DropoutFactors(key, c, limit, scale);
    } else {
      return hn::Set(tag, DropoutBits(key, c) < limit ? 0.0f : scale);
    }
  }
};

RowDropout DropoutOf(const NormOptions& o, int64_t row) {
  return {o.dropout > 0 ? DropoutRowOf(o.seed, row) : DropoutRow{}, DropoutLimit(o.dropout), DropoutScale(o.dropout)};
}

void NormForwardImpl(const NormLayout& l, const NormForwardMemory& m, int64_t begin, int64_t end) {
  const float size = static_cast<float>(l.d);
  for (int64_t row = begin; row < end; ++row) {
    const int64_t node = row / l.rows();
    const float* x = m.x + (l.shared ? row % l.rows() : row) * l.d;
    const float* weight = m.weight != nullptr ? m.weight + node * l.d : nullptr;
    const float* bias = m.bias != nullptr ? m.bias + node * l.d : nullptr;
    const float* sum = x;
    Sum mean_of = {hn::Zero(D()), 0}, square_of = mean_of;
    if (m.y != nullptr) {
      const float* y = m.y + row * l.d;
      float* to = m.sum + row * l.d;
      const bool drops = l.options.dropout > 0;
      const RowDropout dropout = DropoutOf(l.options, l.first_row + row);
      ForColumns(l.d, [&](auto d, int64_t c) HWY_ATTR {
        auto added = hn::LoadU(d, y + c);
        if (drops) added = hn::Mul(added, dropout.Factors(d, c));
        added = hn::Add(added, hn::LoadU(d, x + c));
        hn::StoreU(added, d, to + c);
        mean_of.Add(d, added);
      });
      sum = to;
    } else {
      ForColumns(l.d, [&](auto d, int64_t c) HWY_ATTR { mean_of.Add(d, hn::LoadU(d, sum + c)); });
    }
    if (m.normed == nullptr) continue;
    const float mean = l.options.rms ? 0 : mean_of.Total() / size;
    ForColumns(l.d, [&](auto d, int64_t c) HWY_ATTR {
      const auto centred = hn::Sub(hn::LoadU(d, sum + c), hn::Set(d, mean));
      square_of.Add(d, hn::Mul(centred, centred));
    });
    const float scale = 1 / std::sqrt(square_of.Total() / size + static_cast<float>(l.options.eps));
    float* to = m.normed + row * l.d;
    ForColumns(l.d, [&](auto d, int64_t c) HWY_ATTR {
      const auto normalized = hn::Mul(hn::Sub(hn::LoadU(d, sum + c), hn::Set(d, mean)), hn::Set(d, scale));
      const auto scaled = weight != nullptr ? hn::Mul(normalized, hn::LoadU(d, weight + c)) : normalized;
      hn::StoreU(bias != nullptr ? hn::Add(scaled, hn::LoadU(d, bias + c)) : scaled, d, to + c);
    });
    m.statistics[2 * row] = mean;
    m.statistics[2 * row + 1] = scale;
  }
}

// One row's gradients. `add`: grad_x has those of other nodes already. parameters: (2, d), added to; or null.
void BackwardRow(const NormLayout& l, const NormBackwardMemory& m, int64_t node, int64_t row, bool add,
                 float* parameters) {
  const int64_t at = node * l.rows() + row, size = l.d;
  const float* sum = m.sum != nullptr ? m.sum + (l.shared && !m.with_y ? row : at) * size : nullptr;
  const float* weight = m.weight != nullptr ? m.weight + node * size : nullptr;
  const auto weighted_of = [&](auto d, auto own, int64_t c)
                               HWY_ATTR { return weight != nullptr ? hn::Mul(own, hn::LoadU(d, weight + c)) : own; };
  const float* grad = m.grad_normed != nullptr ? m.grad_normed + (m.grad_shared ? row : at) * size : nullptr;
  float mean = 0, scale = 0;
  Sum mean_of = {hn::Zero(D()), 0}, slope_of = mean_of;
  if (grad != nullptr) {
    mean = m.statistics[2 * at], scale = m.statistics[2 * at + 1];
    ForColumns(size, [&](auto d, int64_t c) HWY_ATTR {
      const auto normalized = hn::Mul(hn::Sub(hn::LoadU(d, sum + c), hn::Set(d, mean)), hn::Set(d, scale));
      const auto own = hn::LoadU(d, grad + c), weighted = weighted_of(d, own, c);
      mean_of.Add(d, weighted);
      slope_of.Add(d, hn::Mul(weighted, normalized));
      if (parameters == nullptr) return;
      hn::StoreU(hn::MulAdd(own, normalized, hn::LoadU(d, parameters + c)), d, parameters + c);
      hn::StoreU(hn::Add(own, hn::LoadU(d, parameters + size + c)), d, parameters + size + c);
    });
  }
  const float average = l.options.rms ? 0 : mean_of.Total() / static_cast<float>(size);
  const float slope = slope_of.Total() / static_cast<float>(size);
  float *grad_x = m.grad_x != nullptr ? m.grad_x + (l.shared ? row : at) * size : nullptr,
        *grad_y = m.grad_y != nullptr ? m.grad_y + at * size : nullptr;
  const float* passed = m.grad_sum != nullptr ? m.grad_sum + at * size : nullptr;
  const bool drops = l.options.dropout > 0;
  const RowDropout dropout = DropoutOf(l.options, l.first_row + at);
  ForColumns(size, [&](auto d, int64_t c) HWY_ATTR {
    auto delta = passed != nullptr ? hn::LoadU(d, passed + c) : hn::Zero(d);
    if (grad != nullptr) {
      const auto normalized = hn::Mul(hn::Sub(hn::LoadU(d, sum + c), hn::Set(d, mean)), hn::Set(d, scale));
      const auto weighted = weighted_of(d, hn::LoadU(d, grad + c), c);
      const auto inner = hn::NegMulAdd(normalized, hn::Set(d, slope), hn::Sub(weighted, hn::Set(d, average)));
      delta = hn::MulAdd(inner, hn::Set(d, scale), delta);
    }
    if (grad_y != nullptr) hn::StoreU(drops ? hn::Mul(delta, dropout.Factors(d, c)) : delta, d, grad_y + c);
    if (grad_x != nullptr) hn::StoreU(add ? hn::Add(hn::LoadU(d, grad_x + c), delta) : delta, d, grad_x + c);
  });
}

void NormBackwardImpl(const NormLayout& l, const NormBackwardMemory& m, int64_t begin, int64_t end) {
  for (int64_t part = begin; part < end; ++part) {
    const int64_t own = l.shared ? part : part % l.parts(), first_node = l.shared ? 0 : part / l.parts();
    const int64_t group = own / l.segments(), first = own % l.segments() * kSegmentRows;
    const int64_t last = std::min(l.K, first + kSegmentRows);
    for (int64_t node = first_node; node < (l.shared ? l.nodes : first_node + 1); ++node) {
      float* parameters = m.parameters != nullptr ? m.parameters + (node * l.parts() + own) * 2 * l.d : nullptr;
      if (parameters != nullptr) std::memset(parameters, 0, sizeof(float) * static_cast<size_t>(2 * l.d));
      for (int64_t row = first; row < last; ++row)
        BackwardRow(l, m, node, group * l.K + row, m.add || node > first_node, parameters);
    }
  }
}

}  // namespace lanthorn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lanthorn::kernels {
HWY_EXPORT(NormForwardImpl);
HWY_EXPORT(NormBackwardImpl);

void NormForward(const NormLayout& layout, const NormForwardMemory& memory, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(NormForwardImpl)(layout, memory, begin, end);
}
void NormBackward(const NormLayout& layout, const NormBackwardMemory& memory, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(NormBackwardImpl)(layout, memory, begin, end);
}
}  // namespace lanthorn::kernels
#endif  // HWY_ONCE
