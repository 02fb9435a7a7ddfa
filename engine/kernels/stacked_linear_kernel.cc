// Compiled once per SIMD target by Highway's foreach_target.

#include "engine/kernels/stacked_linear_kernel.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/kernels/scratch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/stacked_linear_kernel.cc"
// foreach_target.h must come before highway.h.
// clang-format off
#include "engine/kernels/simd_targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "engine/kernels/activation-inl.h"
#include "engine/kernels/dropout-inl.h"
#include "engine/kernels/tile-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace lanthorn::kernels::HWY_NAMESPACE {

constexpr int64_t kDepth = 384;    // of a product before its next stretch: a panel of B that stays in L1
constexpr int64_t kStretch = 128;  // rows that a weight's gradient takes at once

inline int64_t Panels(int64_t size) { return (size + kPanel - 1) / kPanel; }

// The tile of some rows and one panel, in registers, to memory; the last panel may be narrower.
template <int kRows>
HWY_INLINE void StoreValid(const Tile<kRows>& tile, float* to, int64_t row, int64_t valid) {
  if (valid >= kPanel) return Store<kRows>(tile, to, row);
  HWY_ALIGN float part[kTileRows * kPanel];
  Store<kRows>(tile, part, kPanel);
  for (int64_t i = 0; i < kRows; ++i)
    std::memcpy(to + i * row, part + i * kPanel, sizeof(float) * static_cast<size_t>(valid));
}
template <int kRows>
HWY_INLINE void LoadValid(const float* from, int64_t row, int64_t valid, Tile<kRows>& tile) {
  if (valid >= kPanel) return Load<kRows>(from, row, tile);
  HWY_ALIGN float part[kTileRows * kPanel] = {};
  for (int64_t i = 0; i < kRows; ++i)
    std::memcpy(part + i * kPanel, from + i * row, sizeof(float) * static_cast<size_t>(valid));
  Load<kRows>(part, kPanel, tile);
}

// z becomes y; its slope is left in `slope`. row: of all nodes' rows, of tile row 0.
template <int kRows>
HWY_INLINE void Activate(const LinearOptions& o, int64_t row, int64_t column, Tile<kRows>& tile, Tile<kRows>& slope) {
  const int32_t limit = DropoutLimit(o.dropout);
  const float scale = DropoutScale(o.dropout);
  for (int i = 0; i < kRows; ++i) {
    const DropoutRow key = o.dropout > 0 ? DropoutRowOf(o.seed, row + i) : DropoutRow{};
    for (int half = 0; half < 2; ++half) {
      const Activated a = ActivateVector(o.activation, tile.v[i][half]);
      tile.v[i][half] = a.y;
      slope.v[i][half] = a.slope;
      if (o.dropout == 0) continue;
      const V factors = DropoutFactors(key, column + half * kLanes, limit, scale);
      tile.v[i][half] = hn::Mul(a.y, factors);
      slope.v[i][half] = hn::Mul(a.slope, factors);
    }
  }
}

void LinearForwardImpl(const LinearLayout& l, const LinearForwardMemory& m, int64_t begin, int64_t end) {
  const int64_t blocks = (l.rows() + kForwardRows - 1) / kForwardRows, panels = Panels(l.out);
  for (int64_t part = begin; part < end; ++part) {
    const int64_t node = part / blocks, first = part % blocks * kForwardRows;
    const int64_t rows = std::min(kForwardRows, l.rows() - first);
    const float* x = m.x + (l.InputRow(node) + first) * l.in;
    const int64_t row = node * l.rows() + first;
    for (int64_t depth = 0; depth < l.in; depth += kDepth) {
      const int64_t length = std::min(kDepth, l.in - depth);
      const bool last = depth + length == l.in;
      for (int64_t p = 0; p < panels; ++p) {
        const float* weight = m.weight + ((node * panels + p) * l.in + depth) * kPanel;
        const int64_t valid = l.out - p * kPanel;
        ForRowBlocks(rows, [&](auto count, int64_t at) HWY_ATTR {
          const int64_t to = (row + at) * l.out + p * kPanel;
          Tile<count> tile, slope;
          if (depth > 0) {
            LoadValid<count>(m.y + to, l.out, valid, tile);
          } else if (m.bias != nullptr) {
            Load<count>(m.bias + (node * panels + p) * kPanel, 0, tile);
          } else {
            Clear<count>(tile);
          }
          Multiply<count>({x + at * l.in + depth, l.in, 1, length}, weight, tile);
          if (last && l.sloped()) {
            Activate<count>(l.options, row + at, p * kPanel, tile, slope);
            if (m.slope != nullptr) StoreValid<count>(slope, m.slope + to, l.out, valid);
          }
          StoreValid<count>(tile, m.y + to, l.out, valid);
        });
      }
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

void LinearInputGradientImpl(const LinearLayout& l, const LinearInputMemory& m, int64_t begin, int64_t end) {
  const int64_t blocks = (l.rows() + kBackwardRows - 1) / kBackwardRows;
  const int64_t panels = Panels(l.in), padded = Panels(l.out) * kPanel, panel = l.nodes * padded * kPanel;
  const Scratch product = Zeros(m.slope != nullptr ? kBackwardRows * l.out : 0);
  for (int64_t part = begin; part < end; ++part) {
    const int64_t first = part % blocks * kBackwardRows, rows = std::min(kBackwardRows, l.rows() - first);
    const int64_t from = l.shared ? 0 : part / blocks, until = l.shared ? l.nodes : from + 1;
    float* grad_x = m.grad_x + (l.InputRow(from) + first) * l.in;
    for (int64_t node = from; node < until; ++node) {
      const float* delta = m.grad_y + (node * l.rows() + first) * l.out;
      if (m.slope != nullptr) {
        MultiplyElements(delta, m.slope + (node * l.rows() + first) * l.out, rows * l.out, product.get());
        delta = product.get();
      }
      for (int64_t depth = 0; depth < l.out; depth += kDepth) {
        const int64_t length = std::min(kDepth, l.out - depth);
        for (int64_t p = 0; p < panels; ++p) {
          const float* weight = m.weight + p * panel + (node * padded + depth) * kPanel;
          const int64_t valid = l.in - p * kPanel;
          ForRowBlocks(rows, [&](auto count, int64_t at) HWY_ATTR {
            float* to = grad_x + at * l.in + p * kPanel;
            Tile<count> tile;
            if (node > from || depth > 0) {
              LoadValid<count>(to, l.in, valid, tile);
            } else {
              Clear<count>(tile);
            }
            Multiply<count>({delta + at * l.out + depth, l.out, 1, length}, weight, tile);
            StoreValid<count>(tile, to, l.in, valid);
          });
        }
      }
    }
  }
}

// The columns [column, + P) of a gradient's rows, times their slopes, as (rows, P).
HWY_INLINE void PackDeltas(const float* grad_y, const float* slope, int64_t rows, int64_t stride, int64_t valid,
                           float* packed) {
  const D d;
  for (int64_t r = 0; r < rows; ++r, grad_y += stride, packed += kPanel) {
    if (valid >= kPanel && slope == nullptr) {
      hn::StoreU(hn::LoadU(d, grad_y), d, packed);
      hn::StoreU(hn::LoadU(d, grad_y + kLanes), d, packed + kLanes);
    } else if (valid >= kPanel) {
      hn::StoreU(hn::Mul(hn::LoadU(d, grad_y), hn::LoadU(d, slope)), d, packed);
      hn::StoreU(hn::Mul(hn::LoadU(d, grad_y + kLanes), hn::LoadU(d, slope + kLanes)), d, packed + kLanes);
    } else {
      for (int64_t i = 0; i < kPanel; ++i) packed[i] = i < valid ? grad_y[i] * (slope != nullptr ? slope[i] : 1.0f) : 0;
    }
    if (slope != nullptr) slope += stride;
  }
}

// sum (P) += the rows of a (rows, P) block.
HWY_INLINE void AddRowsOf(const float* block, int64_t rows, float* sum) {
  const D d;
  V left = hn::LoadU(d, sum), right = hn::LoadU(d, sum + kLanes);
  for (int64_t r = 0; r < rows; ++r) {
    left = hn::Add(left, hn::LoadU(d, block + r * kPanel));
    right = hn::Add(right, hn::LoadU(d, block + r * kPanel + kLanes));
  }
  hn::StoreU(left, d, sum);
  hn::StoreU(right, d, sum + kLanes);
}

// sum += tile; returns the sum of squares of tile. In double where a square is beyond float's range.
double AddSquares(const float* tile, int64_t size, float* sum) {
  const D d;
  V squares[2] = {hn::Zero(d), hn::Zero(d)};
  for (int64_t i = 0; i < size; i += kPanel) {
    for (int half = 0; half < 2; ++half) {
      const int64_t at = i + half * kLanes;
      const V x = hn::LoadU(d, tile + at);
      squares[half] = hn::MulAdd(x, x, squares[half]);
      hn::StoreU(hn::Add(hn::LoadU(d, sum + at), x), d, sum + at);
    }
  }
  double total = static_cast<double>(hn::GetLane(hn::SumOfLanes(d, hn::Add(squares[0], squares[1]))));
  if (std::isfinite(total)) return total;
  total = 0;
  for (int64_t i = 0; i < size; ++i) total += static_cast<double>(tile[i]) * static_cast<double>(tile[i]);
  return total;
}

// tile (in, P) = or += x^T (in, rows) times deltas (rows, P). The left operand is read across its rows as it stands.
void AddProduct(const float* x, int64_t in, const float* deltas, int64_t rows, bool add, float* tile_of) {
  ForRowBlocks(in, [&](auto count, int64_t at) HWY_ATTR {
    Tile<count> tile;
    if (add) {
      Load<count>(tile_of + at * kPanel, kPanel, tile);
    } else {
      Clear<count>(tile);
    }
    Multiply<count>({x + at, 1, in, rows}, deltas, tile);
    Store<count>(tile, tile_of + at * kPanel, kPanel);
  });
}

void LinearWeightGradientImpl(const LinearLayout& l, const LinearWeightMemory& m, int64_t begin, int64_t end) {
  const int64_t panels = Panels(l.out), panel = l.in * kPanel;
  const bool squares = m.weight_squares != nullptr || m.bias_squares != nullptr;
  const int64_t span = squares ? l.K : kStretch;  // rows that are added up before they join the sums
  const int64_t group = std::max<int64_t>(1, int64_t{32768} / std::max<int64_t>(1, panel));  // sums that stay in L2
  const Scratch sums = Zeros(group * panel), bias = Zeros(group * kPanel), tile = Zeros(squares ? panel : 0);
  const Scratch deltas = Zeros(kStretch * kPanel);
  for (int64_t start = begin; start < end; start += group) {
    const int64_t stop = std::min(end, start + group);
    std::memset(sums.get(), 0, sizeof(float) * static_cast<size_t>(group * panel));
    std::memset(bias.get(), 0, sizeof(float) * static_cast<size_t>(group * kPanel));
    for (int64_t first = 0; first < l.rows(); first += span) {
      const int64_t until = std::min(first + span, l.rows());
      for (int64_t job = start; job < stop; ++job) {
        const int64_t node = job / panels, p = job % panels;
        float *sum = sums.get() + (job - start) * panel, *bias_sum = bias.get() + (job - start) * kPanel;
        HWY_ALIGN float bias_tile[kPanel] = {};
        for (int64_t row = first; row < until; row += kStretch) {
          const int64_t rows = std::min(kStretch, until - row);
          const int64_t delta = (node * l.rows() + row) * l.out + p * kPanel;
          PackDeltas(m.grad_y + delta, m.slope != nullptr ? m.slope + delta : nullptr, rows, l.out, l.out - p * kPanel,
                     deltas.get());
          if (m.bias != nullptr) AddRowsOf(deltas.get(), rows, squares ? bias_tile : bias_sum);
          if (m.weight == nullptr) continue;
          AddProduct(m.x + (l.InputRow(node) + row) * l.in, l.in, deltas.get(), rows, /*add=*/!squares || row > first,
                     squares ? tile.get() : sum);
        }
        if (!squares) continue;
        const int64_t square = job * l.N + first / l.K;
        if (m.weight != nullptr) m.weight_squares[square] = AddSquares(tile.get(), panel, sum);
        if (m.bias != nullptr) m.bias_squares[square] = AddSquares(bias_tile, kPanel, bias_sum);
      }
    }
    for (int64_t job = start; job < stop; ++job) {
      const int64_t node = job / panels, p = job % panels, row = node * l.out + p * kPanel;
      const float* from = sums.get() + (job - start) * panel;
      for (int64_t lane = 0; lane < std::min(kPanel, l.out - p * kPanel); ++lane) {
        for (int64_t i = 0; m.weight != nullptr && i < l.in; ++i)
          m.weight[(row + lane) * l.in + i] = from[i * kPanel + lane];
        if (m.bias != nullptr) m.bias[row + lane] = bias[static_cast<size_t>((job - start) * kPanel + lane)];
      }
    }
  }
}

}  // namespace lanthorn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lanthorn::kernels {
HWY_EXPORT(LinearForwardImpl);
HWY_EXPORT(LinearInputGradientImpl);
HWY_EXPORT(LinearWeightGradientImpl);

void LinearForward(const LinearLayout& layout, const LinearForwardMemory& memory, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(LinearForwardImpl)(layout, memory, begin, end);
}
void LinearInputGradient(const LinearLayout& layout, const LinearInputMemory& memory, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(LinearInputGradientImpl)(layout, memory, begin, end);
}
void LinearWeightGradient(const LinearLayout& layout, const LinearWeightMemory& memory, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(LinearWeightGradientImpl)(layout, memory, begin, end);
}
}  // namespace lanthorn::kernels
#endif  // HWY_ONCE
