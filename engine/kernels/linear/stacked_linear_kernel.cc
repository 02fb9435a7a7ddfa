// Compiled once per SIMD target by Highway's foreach_target.

#include "engine/kernels/linear/stacked_linear_kernel.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/kernels/simd/scratch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/linear/stacked_linear_kernel.cc"
// foreach_target.h must come before highway.h.
// clang-format off
#include "engine/kernels/simd/simd_targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "engine/kernels/linear/activation-inl.h"
#include "engine/kernels/encoder/dropout-inl.h"
#include "engine/kernels/simd/pairs-inl.h"
#include "engine/kernels/simd/tile-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace lanthorn::kernels::HWY_NAMESPACE {

constexpr int64_t kDepth = 384;     // of a product before its next stretch: a panel of B that stays in L1
constexpr int64_t kNearRows = 512;  // rows that are less far apart stand in different sets of L1

// tile *= factors, rows of which are `row` apart.
template <int kRows>
HWY_INLINE void Scale(const float* factors, int64_t row, int64_t valid, Tile<kRows>& tile) {
  HWY_UNROLL(13)
  for (int m = 0; m < kRows; ++m) {
    const float* own = factors + m * row;
    const V left = LoadLanes(own, valid),
            right = valid > kLanes ? LoadLanes(own + kLanes, valid - kLanes) : hn::Zero(D());
    tile.v[m][0] = hn::Mul(tile.v[m][0], left);
    tile.v[m][1] = hn::Mul(tile.v[m][1], right);
  }
}

// y and slope (or null) of some rows of one panel from z (rows, P). row: the first of them, of all nodes' rows. Apart
// from the products, whose registers it would take.
HWY_NOINLINE void ActivateRows(const LinearOptions& o, int64_t row, int64_t rows, int64_t column, const float* z,
                               int64_t stride, int64_t valid, float* y, float* slope) {
  const D d;
  const int32_t limit = DropoutLimit(o.dropout);
  const float scale = DropoutScale(o.dropout);
  for (int64_t i = 0; i < rows; ++i) {
    const DropoutRow key = o.dropout > 0 ? DropoutRowOf(o.seed, row + i) : DropoutRow{};
    for (int64_t at = 0; at < std::min(kPanel, valid); at += kLanes) {
      Activated a = ActivateVector(o.activation, hn::LoadU(d, z + i * kPanel + at));
      if (o.dropout > 0) {
        const V factors = DropoutFactors(key, column + at, limit, scale);
        a.y = hn::Mul(a.y, factors);
        a.slope = hn::Mul(a.slope, factors);
      }
      StoreLanes(a.y, y + i * stride + at, valid - at);
      if (slope != nullptr) StoreLanes(a.slope, slope + i * stride + at, valid - at);
    }
  }
}

// to = a * b
HWY_INLINE void MultiplyElements(const float* a, const float* b, int64_t size, float* to) {
  const D d;
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) hn::StoreU(hn::Mul(hn::LoadU(d, a + i), hn::LoadU(d, b + i)), d, to + i);
  for (; i < size; ++i) to[i] = a[i] * b[i];
}

// Rows of a left operand, `row` apart.
struct Stretch {
  const float* a;
  int64_t row;
};

// The places [depth, + length) of some rows of `columns` numbers, times those of `slope` if there is one. What is not
// changed and lies close together is taken as it stands; else it goes to `packed`, since rows that are a page apart
// would push each other out of the cache.
template <Operands kKind>
Stretch TakeStretch(const float* a, const float* slope, int64_t columns, int64_t rows, int64_t depth, int64_t length,
                    float* packed) {
  if constexpr (kKind == Operands::kFloats) {
    if (slope == nullptr && columns <= kNearRows) return {a + depth, columns};
  }
  const int64_t first = kKind == Operands::kFloats ? depth : 2 * depth;
  const int64_t count = kKind == Operands::kFloats ? length : std::min(2 * length, columns - first);
  for (int64_t r = 0; r < rows; ++r) {
    const float* own = a + r * columns + first;
    const float* times = slope != nullptr ? slope + r * columns + first : nullptr;
    float* to = packed + r * length;
    if constexpr (kKind != Operands::kFloats) {
      PairRow(own, times, count, to);
    } else if (times != nullptr) {
      MultiplyElements(own, times, count, to);
    } else {
      std::memcpy(to, own, sizeof(float) * static_cast<size_t>(count));
    }
  }
  return {packed, length};
}

template <Operands kKind>
void Forward(const LinearLayout& l, const LinearForwardMemory& m, int64_t begin, int64_t end) {
  const int64_t blocks = (l.rows() + kForwardRows - 1) / kForwardRows, panels = Panels(l.out);
  const int64_t places = PlacesOf(kKind, l.in);
  const Scratch packed = Uninitialized(kForwardRows * std::min(places, kDepth));
  for (int64_t part = begin; part < end; ++part) {
    const int64_t node = part / blocks, first = part % blocks * kForwardRows;
    const int64_t rows = std::min(kForwardRows, l.rows() - first);
    const float* from = m.x + (l.InputRow(node) + first) * l.in;
    const int64_t row = node * l.rows() + first;
    for (int64_t depth = 0; depth < places; depth += kDepth) {
      const int64_t length = std::min(kDepth, places - depth);
      const Stretch x = TakeStretch<kKind>(from, nullptr, l.in, rows, depth, length, packed.get());
      const bool last = depth + length == places;
      for (int64_t p = 0; p < panels; ++p) {
        const float* weight = m.weight + ((node * panels + p) * places + depth) * kPanel;
        const int64_t valid = l.out - p * kPanel;
        ForRowBlocks(rows, [&](auto count, int64_t at) HWY_ATTR {
          const int64_t to = (row + at) * l.out + p * kPanel;
          Tile<count> tile;
          if (depth > 0) {
            LoadValid<count>(m.y + to, l.out, valid, tile);
          } else if (m.bias != nullptr) {
            Load<count>(m.bias + (node * panels + p) * kPanel, 0, tile);
          } else {
            Clear<count>(tile);
          }
          Multiply<count, kKind>({x.a + at * x.row, x.row, 1, length}, weight, tile);
          if (last && l.sloped()) {
            HWY_ALIGN float z[kTileRows * kPanel];
            Store<count>(tile, z, kPanel);
            return ActivateRows(l.options, l.first_row + row + at, count, p * kPanel, z, l.out, valid, m.y + to,
                                m.slope != nullptr ? m.slope + to : nullptr);
          }
          StoreValid<count>(tile, m.y + to, l.out, valid);
        });
      }
    }
  }
}

template <Operands kKind>
void InputGradient(const LinearLayout& l, const LinearInputMemory& m, int64_t begin, int64_t end) {
  const int64_t blocks = (l.rows() + kBackwardRows - 1) / kBackwardRows;
  const int64_t places = PlacesOf(kKind, l.out), padded = Panels(places) * kPanel;
  const int64_t panels = Panels(l.in), panel = l.nodes * padded * kPanel;
  const Scratch packed = Uninitialized(kBackwardRows * std::min(places, kDepth));
  for (int64_t part = begin; part < end; ++part) {
    const int64_t first = part % blocks * kBackwardRows, rows = std::min(kBackwardRows, l.rows() - first);
    const int64_t from = l.shared ? 0 : part / blocks, until = l.shared ? l.nodes : from + 1;
    float* grad_x = m.grad_x + (l.InputRow(from) + first) * l.in;
    for (int64_t node = from; node < until; ++node) {
      for (int64_t depth = 0; depth < places; depth += kDepth) {
        const int64_t length = std::min(kDepth, places - depth), start = (node * l.rows() + first) * l.out;
        const Stretch delta = TakeStretch<kKind>(m.grad_y + start, m.slope != nullptr ? m.slope + start : nullptr,
                                                 l.out, rows, depth, length, packed.get());
        for (int64_t p = 0; p < panels; ++p) {
          const float* weight = m.weight + p * panel + (node * padded + depth) * kPanel;
          const int64_t valid = l.in - p * kPanel;
          ForRowBlocks(rows, [&](auto count, int64_t at) HWY_ATTR {
            float* to = grad_x + at * l.in + p * kPanel;
            Tile<count> tile;
            if (m.add || node > from || depth > 0) {
              LoadValid<count>(to, l.in, valid, tile);
            } else {
              Clear<count>(tile);
            }
            Multiply<count, kKind>({delta.a + at * delta.row, delta.row, 1, length}, weight, tile);
            if (m.times != nullptr && depth + length == places)
              Scale<count>(m.times + (first + at) * l.in + p * kPanel, l.in, valid, tile);
            StoreValid<count>(tile, to, l.in, valid);
          });
        }
      }
    }
  }
}

void LinearForwardImpl(const LinearLayout& l, const LinearForwardMemory& m, int64_t begin, int64_t end) {
  WithOperands(l.options.operands, [&](auto operands) { Forward<operands>(l, m, begin, end); });
}

void LinearInputGradientImpl(const LinearLayout& l, const LinearInputMemory& m, int64_t begin, int64_t end) {
  WithOperands(l.options.operands, [&](auto operands) { InputGradient<operands>(l, m, begin, end); });
}

}  // namespace lanthorn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lanthorn::kernels {
HWY_EXPORT(LinearForwardImpl);
HWY_EXPORT(LinearInputGradientImpl);

void LinearForward(const LinearLayout& layout, const LinearForwardMemory& memory, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(LinearForwardImpl)(layout, memory, begin, end);
}
void LinearInputGradient(const LinearLayout& layout, const LinearInputMemory& memory, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(LinearInputGradientImpl)(layout, memory, begin, end);
}
}  // namespace lanthorn::kernels
#endif  // HWY_ONCE
