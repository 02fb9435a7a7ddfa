// The register tile that all fused kernels multiply with: up to kTileRows rows of A times one panel of B, which is two
// vectors wide. Compiled once per SIMD target (Highway's per-target include guard).
//
// Why not a library's GEMM: the operands of the recurrent kernels are multiplied again and again (W_hh at every time
// step), so they are packed once; and what happens to a tile (gates, squares of a sample's gradient) happens while it
// is in registers. tests/bench/HISTORY.md holds the comparison with oneDNN.
#if defined(LANTHORN_KERNELS_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANTHORN_KERNELS_TILE_INL_H_
#undef LANTHORN_KERNELS_TILE_INL_H_
#else
#define LANTHORN_KERNELS_TILE_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "engine/kernels/simd/operands.h"

HWY_BEFORE_NAMESPACE();
namespace lanthorn::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
constexpr int64_t kLanes = HWY_LANES(float);
constexpr int64_t kPanel = 2 * kLanes;
inline int64_t Panels(int64_t size) { return (size + kPanel - 1) / kPanel; }
// Two accumulators per row, two vectors of B and a broadcast have to fit the registers: 32 with AVX-512 and on ARM. 13
// rows leave three free and divide 64 and 128 rows into 5 and 10 tiles.
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL || HWY_ARCH_ARM_A64
constexpr int64_t kTileRows = 13;
#else
constexpr int64_t kTileRows = 6;
#endif

// 0, 1, 2, ... of a vector of T. Highway's Iota writes the lanes to memory one by one and waits for them.
template <class Tag>
HWY_INLINE hn::Vec<Tag> FirstLanes(Tag d) {
  using T = hn::TFromD<Tag>;
  HWY_ALIGN static constexpr T kFirst[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return hn::Load(d, kFirst);
}

// The first `valid` numbers of a vector, zeros behind them.
HWY_INLINE V LoadLanes(const float* from, int64_t valid) {
  if (valid >= kLanes) return hn::LoadU(D(), from);
  HWY_ALIGN float part[kLanes] = {};
  if (valid > 0) std::memcpy(part, from, sizeof(float) * static_cast<size_t>(valid));
  return hn::Load(D(), part);
}

// One vector to memory, of which `valid` numbers belong there.
HWY_INLINE void StoreLanes(V v, float* to, int64_t valid) {
  if (valid >= kLanes) return hn::StoreU(v, D(), to);
  HWY_ALIGN float part[kLanes];
  hn::Store(v, D(), part);
  if (valid > 0) std::memcpy(to, part, sizeof(float) * static_cast<size_t>(valid));
}

template <int kRows, int kVectors = 2>
struct Tile {
  V v[kRows][kVectors];
};

// c + a * b, or for pairs c + a's first times b's first + a's second times b's second.
template <Operands kKind>
HWY_INLINE V MulAddOf(V a, V b, V c) {
  if constexpr (kKind == Operands::kFloats) {
    return hn::MulAdd(a, b, c);
  } else {
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
    if constexpr (kKind == Operands::kNativePairs) {
      // Highway 1.0.3 has no target with this instruction; whoever asks for it has asked the CPU.
      asm("vdpbf16ps %2, %1, %0" : "+v"(c.raw) : "v"(a.raw), "v"(b.raw));
      return c;
    }
#endif
    const hn::RebindToUnsigned<D> du;
    const auto first = [&](V x) HWY_ATTR { return hn::BitCast(D(), hn::ShiftLeft<16>(hn::BitCast(du, x))); };
    const auto second = [&](V x) HWY_ATTR {
      return hn::BitCast(D(), hn::And(hn::BitCast(du, x), hn::Set(du, 0xffff0000u)));
    };
    return hn::MulAdd(second(a), second(b), hn::MulAdd(first(a), first(b), c));
  }
}

// A's element (m, k) is at a[m * row + k * step], k < length. B is a panel: `kPanel` floats for each k.
struct Operand {
  const float* a;
  int64_t row, step, length;
};

template <int kRows, Operands kKind = Operands::kFloats>
HWY_INLINE void Multiply(const Operand& x, const float* HWY_RESTRICT b, Tile<kRows>& c) {
  const D d;
  const float* HWY_RESTRICT a = x.a;
  const int64_t row = x.row, step = x.step;
  for (int64_t k = 0; k < x.length; ++k, a += step, b += kPanel) {
    const V b0 = hn::LoadU(d, b), b1 = hn::LoadU(d, b + kLanes);
    HWY_UNROLL(13)
    for (int m = 0; m < kRows; ++m) {
      const V am = hn::Set(d, a[m * row]);
      c.v[m][0] = MulAddOf<kKind>(am, b0, c.v[m][0]);
      c.v[m][1] = MulAddOf<kKind>(am, b1, c.v[m][1]);
    }
  }
}

// The same with the first vector of each of the panel's rows alone.
template <int kRows>
HWY_INLINE void Multiply(const Operand& x, const float* HWY_RESTRICT b, Tile<kRows, 1>& c) {
  const D d;
  const float* HWY_RESTRICT a = x.a;
  const int64_t row = x.row, step = x.step;
  for (int64_t k = 0; k < x.length; ++k, a += step, b += kPanel) {
    const V b0 = hn::LoadU(d, b);
    HWY_UNROLL(13)
    for (int m = 0; m < kRows; ++m) c.v[m][0] = hn::MulAdd(hn::Set(d, a[m * row]), b0, c.v[m][0]);
  }
}

// The same where A itself is panels, `piece` floats apart, of rows of kPanel floats: constant strides leave more
// registers to the products.
template <int kRows>
HWY_INLINE void MultiplyPanels(const float* HWY_RESTRICT a, int64_t pieces, int64_t piece, const float* HWY_RESTRICT b,
                               Tile<kRows>& c) {
  const D d;
  for (int64_t at = 0; at < pieces; ++at, a += piece, b += kPanel * kPanel) {
    for (int64_t k = 0; k < kPanel; ++k) {
      const V b0 = hn::LoadU(d, b + k * kPanel), b1 = hn::LoadU(d, b + k * kPanel + kLanes);
      HWY_UNROLL(13)
      for (int m = 0; m < kRows; ++m) {
        const V am = hn::Set(d, a[m * kPanel + k]);
        c.v[m][0] = hn::MulAdd(am, b0, c.v[m][0]);
        c.v[m][1] = hn::MulAdd(am, b1, c.v[m][1]);
      }
    }
  }
}

template <int kRows, int kVectors>
HWY_INLINE void Clear(Tile<kRows, kVectors>& c) {
  HWY_UNROLL(13)
  for (int m = 0; m < kRows; ++m) {
    for (int v = 0; v < kVectors; ++v) c.v[m][v] = hn::Zero(D());
  }
}

template <int kRows, int kVectors>
HWY_INLINE void Load(const float* from, int64_t row, Tile<kRows, kVectors>& c) {
  HWY_UNROLL(13)
  for (int m = 0; m < kRows; ++m) {
    for (int v = 0; v < kVectors; ++v) c.v[m][v] = hn::LoadU(D(), from + m * row + v * kLanes);
  }
}

template <int kRows, int kVectors>
HWY_INLINE void Store(const Tile<kRows, kVectors>& c, float* to, int64_t row) {
  HWY_UNROLL(13)
  for (int m = 0; m < kRows; ++m) {
    for (int v = 0; v < kVectors; ++v) hn::StoreU(c.v[m][v], D(), to + m * row + v * kLanes);
  }
}

// The same where `valid` columns are there in memory, which may be fewer than the tile's.
template <int kRows, int kVectors>
HWY_INLINE void LoadValid(const float* from, int64_t row, int64_t valid, Tile<kRows, kVectors>& c) {
  constexpr int64_t kColumns = kVectors * kLanes;
  if (valid >= kColumns) return Load(from, row, c);
  HWY_ALIGN float part[kRows * kColumns] = {};
  for (int64_t m = 0; m < kRows; ++m)
    std::memcpy(part + m * kColumns, from + m * row, sizeof(float) * static_cast<size_t>(valid));
  Load(part, kColumns, c);
}

template <int kRows, int kVectors>
HWY_INLINE void StoreValid(const Tile<kRows, kVectors>& c, float* to, int64_t row, int64_t valid) {
  constexpr int64_t kColumns = kVectors * kLanes;
  if (valid >= kColumns) return Store(c, to, row);
  HWY_ALIGN float part[kRows * kColumns];
  Store(c, part, kColumns);
  for (int64_t m = 0; m < kRows; ++m)
    std::memcpy(to + m * row, part + m * kColumns, sizeof(float) * static_cast<size_t>(valid));
}

// Four columns of four rows, turned round: to[c * step + row] = or, with kAdd, += from[row * stride + c].
template <bool kAdd = false>
HWY_INLINE void Transpose4(const float* from, int64_t stride, float* to, int64_t step = kPanel) {
#if HWY_TARGET == HWY_SCALAR
  for (int64_t row = 0; row < 4; ++row) {
    for (int64_t c = 0; c < 4; ++c) to[c * step + row] = (kAdd ? to[c * step + row] : 0) + from[row * stride + c];
  }
#else
  const hn::FixedTag<float, 4> d;
  const auto a = hn::LoadU(d, from), b = hn::LoadU(d, from + stride), c = hn::LoadU(d, from + 2 * stride),
             e = hn::LoadU(d, from + 3 * stride);
  const auto low_ab = hn::InterleaveLower(a, b), low_ce = hn::InterleaveLower(c, e);
  const auto high_ab = hn::InterleaveUpper(d, a, b), high_ce = hn::InterleaveUpper(d, c, e);
  const auto put = [&](hn::Vec<decltype(d)> column, float* at)
                       HWY_ATTR { hn::StoreU(kAdd ? hn::Add(hn::LoadU(d, at), column) : column, d, at); };
  put(hn::ConcatLowerLower(d, low_ce, low_ab), to);
  put(hn::ConcatUpperUpper(d, low_ce, low_ab), to + step);
  put(hn::ConcatLowerLower(d, high_ce, high_ab), to + 2 * step);
  put(hn::ConcatUpperUpper(d, high_ce, high_ab), to + 3 * step);
#endif
}

// Up to kPanel rows, `stride` apart, of `width` floats as a panel: packed[c * kPanel + row], zeros behind the last row.
HWY_INLINE void TurnPanel(const float* from, int64_t rows, int64_t width, int64_t stride, float* packed) {
  if (rows < kPanel) std::memset(packed, 0, sizeof(float) * static_cast<size_t>(width * kPanel));
  int64_t row = 0;
  for (; kPanel >= 4 && row + 4 <= rows; row += 4, from += 4 * stride) {
    int64_t c = 0;
    for (; c + 4 <= width; c += 4) Transpose4(from + c, stride, packed + c * kPanel + row);
    for (; c < width; ++c) {
      for (int64_t i = 0; i < 4; ++i) packed[c * kPanel + row + i] = from[i * stride + c];
    }
  }
  for (; row < rows; ++row, from += stride) {
    for (int64_t c = 0; c < width; ++c) packed[c * kPanel + row] = from[c];
  }
}

template <int kRows>
using RowCount = std::integral_constant<int, kRows>;

// Calls body(RowCount<n>(), first) for blocks of at most kTileRows rows that cover [0, rows), of nearly equal size: a
// block of one or two rows would wait for the latency of its few accumulators.
template <class Body>
HWY_INLINE void ForRowBlocks(int64_t rows, Body body) {
  const int64_t blocks = (rows + kTileRows - 1) / kTileRows;
  for (int64_t block = 0, first = 0; block < blocks; ++block) {
    const int64_t count = rows / blocks + (block < rows % blocks ? 1 : 0);
    switch (count) {
      case 1:
        body(RowCount<1>(), first);
        break;
      case 2:
        body(RowCount<2>(), first);
        break;
      case 3:
        body(RowCount<3>(), first);
        break;
      case 4:
        body(RowCount<4>(), first);
        break;
      case 5:
        body(RowCount<5>(), first);
        break;
      case 6:
        body(RowCount<6>(), first);
        break;
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL || HWY_ARCH_ARM_A64
      case 7:
        body(RowCount<7>(), first);
        break;
      case 8:
        body(RowCount<8>(), first);
        break;
      case 9:
        body(RowCount<9>(), first);
        break;
      case 10:
        body(RowCount<10>(), first);
        break;
      case 11:
        body(RowCount<11>(), first);
        break;
      case 12:
        body(RowCount<12>(), first);
        break;
      case 13:
        body(RowCount<13>(), first);
        break;
#endif
      default:
        break;
    }
    first += count;
  }
}

}  // namespace lanthorn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
