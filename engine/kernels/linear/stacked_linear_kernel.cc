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
#include "engine/kernels/simd/tile-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace lanthorn::kernels::HWY_NAMESPACE {

constexpr int64_t kDepth = 384;               // of a product before its next stretch: a panel of B that stays in L1
constexpr int64_t kNearRows = 512;            // rows that are less far apart stand in different sets of L1
constexpr int64_t kStretch = 128;             // rows that a weight's gradient takes at once
constexpr int64_t kColumns = 32 * kTileRows;  // and columns of the input
constexpr int64_t kSums = 65536;              // floats of the sums that stay in L2

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

// tile *= factors, rows of which are `row` apart.
template <int kRows>
HWY_INLINE void Scale(const float* factors, int64_t row, int64_t valid, Tile<kRows>& tile) {
  HWY_UNROLL(13)
  for (int m = 0; m < kRows; ++m) {
    const float* own = factors + m * row;
    const V left = valid >= kPanel ? hn::LoadU(D(), own) : LoadLanes(own, valid),
            right = valid >= kPanel ? hn::LoadU(D(), own + kLanes) : LoadLanes(own + kLanes, valid - kLanes);
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
    for (int64_t at = 0; at < kPanel; at += kLanes) {
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

// The first `length` columns of some rows that are `row` apart, times those of `slope` if there is one. What is not
// multiplied and lies close together is taken as it stands; else it goes to `packed`, since rows that are a page apart
// would push each other out of the cache.
Stretch TakeStretch(const float* a, const float* slope, int64_t row, int64_t rows, int64_t length, float* packed) {
  if (slope == nullptr && row <= kNearRows) return {a, row};
  for (int64_t r = 0; r < rows; ++r) {
    if (slope != nullptr) {
      MultiplyElements(a + r * row, slope + r * row, length, packed + r * length);
    } else {
      std::memcpy(packed + r * length, a + r * row, sizeof(float) * static_cast<size_t>(length));
    }
  }
  return {packed, length};
}

void LinearForwardImpl(const LinearLayout& l, const LinearForwardMemory& m, int64_t begin, int64_t end) {
  const int64_t blocks = (l.rows() + kForwardRows - 1) / kForwardRows, panels = Panels(l.out);
  const Scratch packed = Uninitialized(kForwardRows * std::min(l.in, kDepth));
  for (int64_t part = begin; part < end; ++part) {
    const int64_t node = part / blocks, first = part % blocks * kForwardRows;
    const int64_t rows = std::min(kForwardRows, l.rows() - first);
    const float* from = m.x + (l.InputRow(node) + first) * l.in;
    const int64_t row = node * l.rows() + first;
    for (int64_t depth = 0; depth < l.in; depth += kDepth) {
      const int64_t length = std::min(kDepth, l.in - depth);
      const Stretch x = TakeStretch(from + depth, nullptr, l.in, rows, length, packed.get());
      const bool last = depth + length == l.in;
      for (int64_t p = 0; p < panels; ++p) {
        const float* weight = m.weight + ((node * panels + p) * l.in + depth) * kPanel;
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
          Multiply<count>({x.a + at * x.row, x.row, 1, length}, weight, tile);
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

void LinearInputGradientImpl(const LinearLayout& l, const LinearInputMemory& m, int64_t begin, int64_t end) {
  const int64_t blocks = (l.rows() + kBackwardRows - 1) / kBackwardRows;
  const int64_t panels = Panels(l.in), padded = Panels(l.out) * kPanel, panel = l.nodes * padded * kPanel;
  const Scratch packed = Uninitialized(kBackwardRows * std::min(l.out, kDepth));
  for (int64_t part = begin; part < end; ++part) {
    const int64_t first = part % blocks * kBackwardRows, rows = std::min(kBackwardRows, l.rows() - first);
    const int64_t from = l.shared ? 0 : part / blocks, until = l.shared ? l.nodes : from + 1;
    float* grad_x = m.grad_x + (l.InputRow(from) + first) * l.in;
    for (int64_t node = from; node < until; ++node) {
      for (int64_t depth = 0; depth < l.out; depth += kDepth) {
        const int64_t length = std::min(kDepth, l.out - depth), start = (node * l.rows() + first) * l.out + depth;
        const Stretch delta = TakeStretch(m.grad_y + start, m.slope != nullptr ? m.slope + start : nullptr, l.out, rows,
                                          length, packed.get());
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
            Multiply<count>({delta.a + at * delta.row, delta.row, 1, length}, weight, tile);
            if (m.times != nullptr && depth + length == l.out)
              Scale<count>(m.times + (first + at) * l.in + p * kPanel, l.in, valid, tile);
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

// Some columns of `rows` rows, `in` > kColumns apart, as the left operands of AddProduct: one block of columns behind
// the other, and a few numbers more.
constexpr int64_t kColumnVectors = (kTileRows + kLanes - 1) / kLanes;
void PackColumns(const float* x, int64_t in, int64_t columns, int64_t rows, float* packed) {
  ForRowBlocks(columns, [&](auto count, int64_t at) HWY_ATTR {
    float* to = packed + at * rows;
    // Whole vectors, of which the next row overwrites what is too much. Behind the last there is no next.
    for (int64_t r = 0; r + 1 < rows; ++r, to += count) {
      for (int64_t v = 0; v < kColumnVectors; ++v)
        hn::StoreU(hn::LoadU(D(), x + r * in + at + v * kLanes), D(), to + v * kLanes);
    }
    for (int64_t i = 0; i < count; ++i) to[i] = x[(rows - 1) * in + at + i];
  });
}

// tile (columns, P) = or += x^T (columns, rows) times deltas (rows, P). x: as PackColumns leaves it, or read across its
// rows, `in` apart, as it stands.
void AddProduct(const float* x, bool packed, int64_t in, int64_t columns, const float* deltas, int64_t rows, bool add,
                float* to) {
  ForRowBlocks(columns, [&](auto count, int64_t at) HWY_ATTR {
    Tile<count> tile;
    if (add) {
      Load<count>(to + at * kPanel, kPanel, tile);
    } else {
      Clear<count>(tile);
    }
    if (packed) {
      Multiply<count>({x + at * rows, 1, count, rows}, deltas, tile);
    } else {
      Multiply<count>({x + at, 1, in, rows}, deltas, tile);
    }
    Store<count>(tile, to + at * kPanel, kPanel);
  });
}

// The panels [begin, end) of all nodes' outputs and the input columns [column, + columns): their gradients of the
// weight. The first columns bring the bias with them.
class WeightSweep {
 public:
  WeightSweep(const LinearLayout& l, const LinearWeightMemory& m, int64_t most)
      : l_(l),
        m_(m),
        panels_(Panels(l.out)),
        squares_(m.weight_squares != nullptr),
        span_(squares_ ? l.K : kStretch),
        // One column block is read as it stands; more are packed, which pays when many panels read them.
        packs_(l.in > kColumns),
        sums_(Uninitialized(most * std::min(l.in, kColumns) * kPanel)),
        bias_(Uninitialized(most * kPanel)),
        tile_(Uninitialized(squares_ ? std::min(l.in, kColumns) * kPanel : 0)),
        deltas_(Uninitialized(kStretch * kPanel)),
        columns_of_x_(Uninitialized(packs_ ? kStretch * kColumns + kColumnVectors * kLanes : 0)) {}

  void Run(int64_t begin, int64_t end, int64_t column, int64_t columns) {
    const int64_t panel = columns * kPanel;
    std::memset(sums_.get(), 0, sizeof(float) * static_cast<size_t>((end - begin) * panel));
    std::memset(bias_.get(), 0, sizeof(float) * static_cast<size_t>((end - begin) * kPanel));
    const bool with_bias = m_.bias != nullptr && column == 0;
    for (int64_t first = 0; first < l_.rows(); first += span_) {
      const int64_t until = std::min(first + span_, l_.rows());
      // A sample of several stretches goes through them for each panel, since its tile has to stay.
      const bool once = packs_ && l_.shared && until - first <= kStretch;
      if (once) PackColumns(m_.x + first * l_.in + column, l_.in, columns, until - first, columns_of_x_.get());
      for (int64_t job = begin; job < end; ++job) {
        const int64_t node = job / panels_, p = job % panels_;
        float *sum = sums_.get() + (job - begin) * panel, *bias_sum = bias_.get() + (job - begin) * kPanel;
        HWY_ALIGN float bias_tile[kPanel] = {};
        for (int64_t row = first; row < until; row += kStretch) {
          const int64_t rows = std::min(kStretch, until - row);
          const int64_t delta = (node * l_.rows() + row) * l_.out + p * kPanel;
          PackDeltas(m_.grad_y + delta, m_.slope != nullptr ? m_.slope + delta : nullptr, rows, l_.out,
                     l_.out - p * kPanel, deltas_.get());
          if (with_bias) AddRowsOf(deltas_.get(), rows, squares_ ? bias_tile : bias_sum);
          if (m_.weight == nullptr) continue;
          const float* x = once ? columns_of_x_.get() : m_.x + (l_.InputRow(node) + row) * l_.in + column;
          AddProduct(x, once, l_.in, columns, deltas_.get(), rows, /*add=*/!squares_ || row > first,
                     squares_ ? tile_.get() : sum);
        }
        if (!squares_) continue;
        const int64_t square = job * m_.square_row + first / l_.K;
        if (m_.weight != nullptr) m_.weight_squares[square] += AddSquares(tile_.get(), panel, sum);
        if (with_bias) m_.bias_squares[square] = AddSquares(bias_tile, kPanel, bias_sum);
      }
    }
    for (int64_t job = begin; job < end; ++job) Write(job, sums_.get() + (job - begin) * panel, column, columns);
    for (int64_t job = begin; with_bias && job < end; ++job) {
      const int64_t p = job % panels_, valid = std::min(kPanel, l_.out - p * kPanel);
      float* to = m_.bias + job / panels_ * l_.out + p * kPanel;
      for (int64_t i = 0; i < valid; ++i) to[i] = (m_.add ? to[i] : 0) + bias_.get()[(job - begin) * kPanel + i];
    }
  }

 private:
  void Write(int64_t job, const float* sum, int64_t column, int64_t columns) const {
    if (m_.weight == nullptr) return;
    const int64_t p = job % panels_, row = job / panels_ * l_.out + p * kPanel;
    float* to = m_.weight + row * l_.in + column;
    if (m_.add) {
      WriteTurned</*kAdd=*/true>(sum, std::min(kPanel, l_.out - p * kPanel), columns, to);
    } else {
      WriteTurned</*kAdd=*/false>(sum, std::min(kPanel, l_.out - p * kPanel), columns, to);
    }
  }

  // to (outs, columns of l_.in) = or += sum (columns, P) turned round.
  template <bool kAdd>
  void WriteTurned(const float* sum, int64_t outs, int64_t columns, float* to) const {
    int64_t out = 0;
    for (; kPanel >= 4 && out + 4 <= outs; out += 4) {
      int64_t i = 0;
      for (; i + 4 <= columns; i += 4) Transpose4<kAdd>(sum + i * kPanel + out, kPanel, to + out * l_.in + i, l_.in);
      for (; i < columns; ++i) WriteColumn<kAdd>(sum + i * kPanel + out, 4, to + out * l_.in + i);
    }
    for (int64_t i = 0; out < outs && i < columns; ++i)
      WriteColumn<kAdd>(sum + i * kPanel + out, outs - out, to + out * l_.in + i);
  }
  template <bool kAdd>
  HWY_INLINE void WriteColumn(const float* sum, int64_t outs, float* to) const {
    for (int64_t lane = 0; lane < outs; ++lane) to[lane * l_.in] = (kAdd ? to[lane * l_.in] : 0) + sum[lane];
  }

  const LinearLayout& l_;
  const LinearWeightMemory& m_;
  int64_t panels_;
  bool squares_;
  int64_t span_;  // rows that are added up before they join the sums
  bool packs_;
  Scratch sums_, bias_, tile_, deltas_, columns_of_x_;
};

void LinearWeightGradientImpl(const LinearLayout& l, const LinearWeightMemory& m, int64_t begin, int64_t end) {
  const int64_t widest = std::min(l.in, kColumns);
  const int64_t group = std::min(end - begin, std::max<int64_t>(1, kSums / (widest * kPanel)));
  WeightSweep sweep(l, m, group);
  for (int64_t start = begin; start < end; start += group) {
    for (int64_t column = 0; column < l.in; column += kColumns)
      sweep.Run(start, std::min(end, start + group), column, std::min(kColumns, l.in - column));
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
