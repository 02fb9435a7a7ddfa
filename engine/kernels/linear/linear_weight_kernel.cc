// Compiled once per SIMD target by Highway's foreach_target.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/kernels/linear/stacked_linear_kernel.h"
#include "engine/kernels/simd/scratch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/linear/linear_weight_kernel.cc"
// foreach_target.h must come before highway.h.
// clang-format off
#include "engine/kernels/simd/simd_targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "engine/kernels/simd/pairs-inl.h"
#include "engine/kernels/simd/tile-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace lanthorn::kernels::HWY_NAMESPACE {

constexpr int64_t kStretch = 128;             // rows that a weight's gradient takes at once
constexpr int64_t kColumns = 32 * kTileRows;  // and columns of the input
constexpr int64_t kSums = 65536;              // floats of the sums that stay in L2

inline int64_t Rounded(int64_t rows) { return (rows + kStretch - 1) / kStretch * kStretch; }

// One of the two vectors of a row of a panel of deltas; `valid` columns are there.
HWY_INLINE V DeltaVector(const float* grad_y, const float* slope, int64_t valid) {
  const V delta = LoadLanes(grad_y, valid);
  return slope != nullptr ? hn::Mul(delta, LoadLanes(slope, valid)) : delta;
}

// The columns [column, + P) of a gradient's rows, times their slopes, as (places of the rows, P).
template <Operands kKind>
HWY_INLINE void PackDeltas(const float* grad_y, const float* slope, int64_t rows, int64_t stride, int64_t valid,
                           float* packed) {
  constexpr int64_t kStep = kKind == Operands::kFloats ? 1 : 2;
  for (int64_t r = 0; r < rows; r += kStep, packed += kPanel) {
    for (int64_t at = 0; at < kPanel; at += kLanes) {
      const auto row = [&](int64_t i) HWY_ATTR {
        return DeltaVector(grad_y + i * stride + at, slope != nullptr ? slope + i * stride + at : nullptr, valid - at);
      };
      V own = row(r);
      if constexpr (kKind != Operands::kFloats) own = PairOf(own, r + 1 < rows ? row(r + 1) : hn::Zero(D()));
      hn::StoreU(own, D(), packed + at);
    }
  }
}

// sum (P) += the rows of deltas.
HWY_INLINE void AddDeltas(const float* grad_y, const float* slope, int64_t rows, int64_t stride, int64_t valid,
                          float* sum) {
  for (int64_t at = 0; at < kPanel; at += kLanes) {
    V total = hn::LoadU(D(), sum + at);
    for (int64_t r = 0; r < rows; ++r) {
      total = hn::Add(total, DeltaVector(grad_y + r * stride + at, slope != nullptr ? slope + r * stride + at : nullptr,
                                         valid - at));
    }
    hn::StoreU(total, D(), sum + at);
  }
}

double SquaresInDouble(const float* values, int64_t size) {
  double total = 0;
  for (int64_t i = 0; i < size; ++i) total += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  return total;
}

// sum += a sample's gradient of a panel of the bias; returns its sum of squares.
double AddBias(const float* bias, float* sum) {
  for (int64_t i = 0; i < kPanel; ++i) sum[i] += bias[i];
  return SquaresInDouble(bias, kPanel);
}

// Some columns of `rows` rows, `in` apart, as the left operands of AddProduct: one block of columns behind the other,
// and a few numbers more.
constexpr int64_t kColumnVectors = (kTileRows + kLanes - 1) / kLanes;
template <Operands kKind>
void PackColumns(const float* x, int64_t in, int64_t columns, int64_t rows, float* packed) {
  constexpr int64_t kStep = kKind == Operands::kFloats ? 1 : 2;
  const int64_t places = PlacesOf(kKind, rows);
  // Whole vectors, of which the next block overwrites what is too much, where another row is behind them.
  const int64_t whole = in >= kColumnVectors * kLanes ? rows - kStep : 0;
  ForRowBlocks(columns, [&](auto count, int64_t at) HWY_ATTR {
    float* to = packed + at * places;
    for (int64_t r = 0; r < rows; r += kStep, to += count) {
      for (int64_t v = 0; v < kColumnVectors; ++v) {
        const int64_t valid = r < whole ? kLanes : count - v * kLanes;
        const float* from = x + r * in + at + v * kLanes;
        V own = LoadLanes(from, valid);
        if constexpr (kKind != Operands::kFloats)
          own = PairOf(own, r + 1 < rows ? LoadLanes(from + in, valid) : hn::Zero(D()));
        StoreLanes(own, to + v * kLanes, valid);
      }
    }
  });
}

// The left operands of products over some rows: as PackColumns leaves them, or read across the rows, `in` apart, as
// they stand.
struct LeftRows {
  const float* x;
  bool packed;
  int64_t in, rows;
};

// tile += x^T (its columns from `at` on, rows) times deltas (places of the rows, P).
template <Operands kKind, int kRows>
HWY_INLINE void MultiplyRows(const LeftRows& x, int64_t at, const float* deltas, Tile<kRows>& tile) {
  const int64_t places = PlacesOf(kKind, x.rows);
  if (x.packed) {
    Multiply<kRows, kKind>({x.x + at * places, 1, kRows, places}, deltas, tile);
  } else if constexpr (kKind == Operands::kFloats) {
    Multiply<kRows>({x.x + at, 1, x.in, x.rows}, deltas, tile);
  }
}

// to (columns, P) = or += the product.
template <Operands kKind>
void AddProduct(const LeftRows& x, int64_t columns, const float* deltas, bool add, float* to) {
  ForRowBlocks(columns, [&](auto count, int64_t at) HWY_ATTR {
    constexpr int kRows = count;
    Tile<kRows> tile;
    if (add) {
      Load(to + at * kPanel, kPanel, tile);
    } else {
      Clear(tile);
    }
    MultiplyRows<kKind, kRows>(x, at, deltas, tile);
    Store(tile, to + at * kPanel, kPanel);
  });
}

// A sample's gradient, `tile` (columns, P) if `add`, and the product of its last rows: sum += it; returns the sum of
// its squares, in double where a square is beyond float's range. tile is scratch then.
template <Operands kKind>
double AddSample(const LeftRows& x, int64_t columns, const float* deltas, bool add, float* tile, float* sum) {
  const D d;
  V squares[2] = {hn::Zero(d), hn::Zero(d)};
  ForRowBlocks(columns, [&](auto count, int64_t at) HWY_ATTR {
    constexpr int kRows = count;
    Tile<kRows> own;
    if (add) {
      Load(tile + at * kPanel, kPanel, own);
    } else {
      Clear(own);
    }
    MultiplyRows<kKind, kRows>(x, at, deltas, own);
    float* to = sum + at * kPanel;
    HWY_UNROLL(13)
    for (int i = 0; i < kRows; ++i) {
      for (int half = 0; half < 2; ++half) {
        const V one = own.v[i][half];
        squares[half] = hn::MulAdd(one, one, squares[half]);
        float* place = to + i * kPanel + half * kLanes;
        hn::StoreU(hn::Add(hn::LoadU(d, place), one), d, place);
      }
    }
  });
  const double total = static_cast<double>(hn::GetLane(hn::SumOfLanes(d, hn::Add(squares[0], squares[1]))));
  if (std::isfinite(total)) return total;
  AddProduct<kKind>(x, columns, deltas, add, tile);
  return SquaresInDouble(tile, columns * kPanel);
}

// The panels [begin, end) of all nodes' outputs and the input columns [column, + columns): their gradients of the
// weight. The first columns bring the bias with them.
template <Operands kKind>
class WeightSweep {
 public:
  WeightSweep(const LinearLayout& l, const LinearWeightMemory& m, int64_t most)
      : l_(l),
        m_(m),
        panels_(Panels(l.out)),
        squares_(m.weight_squares != nullptr),
        span_(squares_ ? l.K : kStretch),
        // One column block is read as it stands; more are packed, which pays when many panels read them, and pairs are.
        packs_(l.in > kColumns || kKind != Operands::kFloats),
        sums_(Uninitialized(most * std::min(l.in, kColumns) * kPanel)),
        bias_(Uninitialized(most * kPanel)),
        tile_(Uninitialized(squares_ ? std::min(l.in, kColumns) * kPanel : 0)),
        deltas_(Uninitialized(kStretch * kPanel)),
        columns_of_x_(Uninitialized(packs_ ? Rounded(span_) * std::min(l.in, kColumns) + kColumnVectors * kLanes : 0)) {
  }

  void Run(int64_t begin, int64_t end, int64_t column, int64_t columns) {
    const int64_t panel = columns * kPanel;
    std::memset(sums_.get(), 0, sizeof(float) * static_cast<size_t>((end - begin) * panel));
    std::memset(bias_.get(), 0, sizeof(float) * static_cast<size_t>((end - begin) * kPanel));
    const bool with_bias = m_.bias != nullptr && column == 0;
    for (int64_t first = 0; first < l_.rows(); first += span_) {
      const int64_t until = std::min(first + span_, l_.rows());
      // A sample of several stretches goes through them for each panel, since its tile has to stay.
      const bool once = packs_ && l_.shared && m_.weight != nullptr;
      for (int64_t row = first; once && row < until; row += kStretch) {
        PackColumns<kKind>(m_.x + row * l_.in + column, l_.in, columns, std::min(kStretch, until - row),
                           columns_of_x_.get() + (row - first) * columns);
      }
      for (int64_t job = begin; job < end; ++job) {
        const int64_t node = job / panels_, p = job % panels_;
        float *sum = sums_.get() + (job - begin) * panel, *bias_sum = bias_.get() + (job - begin) * kPanel;
        HWY_ALIGN float bias_tile[kPanel] = {};
        for (int64_t row = first; row < until; row += kStretch) {
          const int64_t rows = std::min(kStretch, until - row);
          const int64_t delta = (node * l_.rows() + row) * l_.out + p * kPanel, valid = l_.out - p * kPanel;
          const float *grad_y = m_.grad_y + delta, *slope = m_.slope != nullptr ? m_.slope + delta : nullptr;
          if (with_bias) AddDeltas(grad_y, slope, rows, l_.out, valid, squares_ ? bias_tile : bias_sum);
          if (m_.weight == nullptr) continue;
          PackDeltas<kKind>(grad_y, slope, rows, l_.out, valid, deltas_.get());
          const float* x = m_.x + (l_.InputRow(node) + row) * l_.in + column;
          if (!once && kKind != Operands::kFloats) PackColumns<kKind>(x, l_.in, columns, rows, columns_of_x_.get());
          const bool packed = once || kKind != Operands::kFloats;
          const float* columns_of_x = columns_of_x_.get() + (once ? (row - first) * columns : 0);
          const LeftRows left = {packed ? columns_of_x : x, packed, l_.in, rows};
          if (!squares_) {
            AddProduct<kKind>(left, columns, deltas_.get(), /*add=*/true, sum);
          } else if (row + rows < until) {
            AddProduct<kKind>(left, columns, deltas_.get(), /*add=*/row > first, tile_.get());
          } else {
            m_.weight_squares[job * m_.square_row + first / l_.K] +=
                AddSample<kKind>(left, columns, deltas_.get(), /*add=*/row > first, tile_.get(), sum);
          }
        }
        if (squares_ && with_bias) m_.bias_squares[job * m_.square_row + first / l_.K] = AddBias(bias_tile, bias_sum);
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

template <Operands kKind>
void WeightGradient(const LinearLayout& l, const LinearWeightMemory& m, int64_t begin, int64_t end) {
  const int64_t widest = std::min(l.in, kColumns);
  const int64_t group = std::min(end - begin, std::max<int64_t>(1, kSums / (widest * kPanel)));
  WeightSweep<kKind> sweep(l, m, group);
  for (int64_t start = begin; start < end; start += group) {
    for (int64_t column = 0; column < l.in; column += kColumns)
      sweep.Run(start, std::min(end, start + group), column, std::min(kColumns, l.in - column));
  }
}

void LinearWeightGradientImpl(const LinearLayout& l, const LinearWeightMemory& m, int64_t begin, int64_t end) {
  WithOperands(l.options.operands, [&](auto operands) { WeightGradient<operands>(l, m, begin, end); });
}

}  // namespace lanthorn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lanthorn::kernels {
HWY_EXPORT(LinearWeightGradientImpl);

void LinearWeightGradient(const LinearLayout& layout, const LinearWeightMemory& memory, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(LinearWeightGradientImpl)(layout, memory, begin, end);
}
}  // namespace lanthorn::kernels
#endif  // HWY_ONCE
