// Compiled once per SIMD target by Highway's foreach_target.
//
// A unit works through its queries in blocks of a few tile rows: their scores with all keys that they may see lie in
// L1, become probabilities there, and are multiplied with the values. Keys, values and the like are packed into panels
// once per unit. The backward does the same from the end: what is kept of the forward is two
// numbers per query.

#include "engine/kernels/attention/attention_kernel.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/kernels/simd/scratch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/attention/attention_kernel.cc"
// foreach_target.h must come before highway.h.
// clang-format off
#include "engine/kernels/simd/simd_targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "engine/kernels/encoder/dropout-inl.h"
#include "engine/kernels/recurrent/gates-inl.h"
#include "engine/kernels/simd/tile-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace lanthorn::kernels::HWY_NAMESPACE {

// Of a block: some tiles, and no more than a panel of keys where a panel is wide, since a causal block computes the
// scores of whole panels.
constexpr int64_t kQueries = kPanel >= 32 ? kPanel : 4 * kTileRows;

inline int64_t Padded(int64_t size) { return Panels(size) * kPanel; }

int64_t AttentionColumnsImpl(int64_t T) { return Padded(T); }

// x (T rows, `stride` apart, of `width` channels) as panels of keys, for products with x^T: [panel of T][width][P].
void PackKeys(const float* x, int64_t T, int64_t width, int64_t stride, float* packed) {
  for (int64_t first = 0; first < T; first += kPanel, packed += width * kPanel)
    TurnPanel(x + first * stride, std::min(kPanel, T - first), width, stride, packed);
}

// The same as panels of channels, for products with x: [panel of width][T][P].
void PackChannels(const float* x, int64_t T, int64_t width, int64_t stride, float* packed) {
  for (int64_t first = 0; first < width; first += kPanel) {
    const int64_t valid = width - first;
    for (int64_t t = 0; t < T; ++t, packed += kPanel) {
      const float* from = x + t * stride + first;
      hn::StoreU(LoadLanes(from, valid), D(), packed);
      hn::StoreU(valid > kLanes ? LoadLanes(from + kLanes, valid - kLanes) : hn::Zero(D()), D(), packed + kLanes);
    }
  }
}

void UnpackChannels(const float* packed, int64_t T, int64_t width, int64_t stride, float* x) {
  for (int64_t first = 0; first < width; first += kPanel) {
    const int64_t valid = width - first;
    for (int64_t t = 0; t < T; ++t, packed += kPanel) {
      float* to = x + t * stride + first;
      StoreLanes(hn::LoadU(D(), packed), to, valid);
      if (valid > kLanes) StoreLanes(hn::LoadU(D(), packed + kLanes), to + kLanes, valid - kLanes);
    }
  }
}

// to (rows, columns rounded up) = scale * x (rows, `width` channels, `stride` apart) times packed keys.
void Scores(const float* x, int64_t stride, int64_t width, const float* keys, int64_t rows, int64_t columns,
            float scale, float* to, int64_t ld) {
  const V by = hn::Set(D(), scale);
  for (int64_t p = 0; p * kPanel < columns; ++p) {
    ForRowBlocks(rows, [&](auto count, int64_t at) HWY_ATTR {
      Tile<count> tile;
      Clear<count>(tile);
      Multiply<count>({x + at * stride, stride, 1, width}, keys + p * width * kPanel, tile);
      constexpr int kRows = count;
      HWY_UNROLL(13)
      for (int i = 0; i < kRows; ++i) {
        tile.v[i][0] = hn::Mul(tile.v[i][0], by);
        tile.v[i][1] = hn::Mul(tile.v[i][1], by);
      }
      Store<count>(tile, to + at * ld + p * kPanel, ld);
    });
  }
}

// to (rows, channels of one panel) = weights (rows, depth) times its packed channels, each row times its factor.
// `valid` channels are there, in `kVectors` vectors.
template <int kVectors>
HWY_INLINE void MixPanel(const float* weights, int64_t ld, int64_t rows, int64_t depth, const float* factors,
                         const float* channels, int64_t valid, float* to, int64_t stride) {
  ForRowBlocks(rows, [&](auto count, int64_t at) HWY_ATTR {
    constexpr int kRows = count;
    Tile<kRows, kVectors> tile;
    Clear(tile);
    Multiply<kRows>({weights + at * ld, ld, 1, depth}, channels, tile);
    HWY_UNROLL(13)
    for (int i = 0; i < kRows; ++i) {
      const V factor = hn::Set(D(), factors[at + i]);
      for (int v = 0; v < kVectors; ++v) tile.v[i][v] = hn::Mul(tile.v[i][v], factor);
    }
    StoreValid(tile, to + at * stride, stride, valid);
  });
}

// to (rows, width channels, `stride` apart) = weights (rows, depth) times packed channels, each row times its factor.
void Mix(const float* weights, int64_t ld, int64_t rows, int64_t depth, const float* factors, const float* channels,
         int64_t T, int64_t width, float* to, int64_t stride) {
  for (int64_t first = 0; first < width; first += kPanel, channels += T * kPanel) {
    const int64_t valid = width - first;
    if (valid <= kLanes) {
      MixPanel<1>(weights, ld, rows, depth, factors, channels, valid, to + first, stride);
    } else {
      MixPanel<2>(weights, ld, rows, depth, factors, channels, valid, to + first, stride);
    }
  }
}

template <int kVectors>
HWY_INLINE void AddTransposed(const float* weights, int64_t ld, int64_t rows, int64_t columns, const float* channels,
                              float* sums) {
  ForRowBlocks(columns, [&](auto count, int64_t at) HWY_ATTR {
    constexpr int kRows = count;
    Tile<kRows, kVectors> tile;
    Load(sums + at * kPanel, kPanel, tile);
    Multiply<kRows>({weights + at, 1, ld, rows}, channels, tile);
    Store(tile, sums + at * kPanel, kPanel);
  });
}

// sums (packed channels of T rows) += weights^T (columns, rows) times the packed channels of the rows [first, + rows).
// Where a panel has no more channels than one vector, what stands behind that vector is not touched.
void MixTransposed(const float* weights, int64_t ld, int64_t rows, int64_t columns, const float* channels,
                   int64_t first, int64_t T, int64_t width, float* sums) {
  for (int64_t c = 0; c < width; c += kPanel, channels += T * kPanel, sums += T * kPanel) {
    if (width - c <= kLanes) {
      AddTransposed<1>(weights, ld, rows, columns, channels + first * kPanel, sums);
    } else {
      AddTransposed<2>(weights, ld, rows, columns, channels + first * kPanel, sums);
    }
  }
}

// One head of one sample of one node.
struct Unit {
  Unit(const AttentionLayout& l, const AttentionMemory& m, int64_t unit)
      : stride(3 * l.d()),
        sample(unit / l.heads),
        head(unit % l.heads),
        q(m.qkv + sample * (l.sample_rows > 0 ? l.sample_rows : l.T) * stride + head * l.width),
        k(q + l.d()),
        v(k + l.d()),
        keep(m.keys.keep != nullptr ? m.keys.keep + sample % l.B * Padded(l.T) : nullptr) {
    if (m.keys.bias_rows == nullptr) return;
    relations = m.keys.relations + sample % l.B * l.T;
    bias_rows = m.keys.bias_rows + sample % l.B * m.keys.relation_count * Padded(l.T);
  }
  int64_t stride, sample, head;  // sample: of all nodes
  const float *q, *k, *v, *keep;
  const int64_t* relations = nullptr;
  const float* bias_rows = nullptr;
};

// Brings rows of one head's channels into L2 while another head is worked on: a head reads `width` channels of every
// row, too short a piece for the CPU to see what comes next.
HWY_INLINE void PrefetchRows(const float* x, int64_t rows, int64_t width, int64_t stride) {
  constexpr int64_t kLine = 64 / sizeof(float);
  for (int64_t r = 0; r < rows; ++r, x += stride) {
    for (int64_t c = 0; c < width; c += kLine) __builtin_prefetch(x + c, /*write=*/0, /*locality=*/2);
  }
}

HWY_INLINE void PrefetchUnit(const Unit& u, int64_t first, int64_t rows, int64_t width) {
  for (const float* x : {u.q, u.k, u.v}) PrefetchRows(x + first * u.stride, rows, width, u.stride);
}

// Which of the columns [c, c + kLanes) a query may look at: those below `end` that `keep` has.
HWY_INLINE auto Seen(const float* keep, int64_t c, int64_t end) {
  const D d;
  const auto below = hn::Lt(FirstLanes(d), hn::Set(d, static_cast<float>(end - c)));
  return keep == nullptr ? below : hn::And(below, hn::Ne(hn::LoadU(d, keep + c), hn::Zero(d)));
}

// The columns that a query sees from the first on without a gap, in whole vectors: those need no mask.
HWY_INLINE int64_t WholeVectors(const float* keep, int64_t end) { return keep != nullptr ? 0 : end / kLanes * kLanes; }

// to += row, whole vectors.
HWY_INLINE void AddRow(const float* row, int64_t columns, float* to) {
  for (int64_t c = 0; c < columns; c += kLanes)
    hn::StoreU(hn::Add(hn::LoadU(D(), to + c), hn::LoadU(D(), row + c)), D(), to + c);
}

struct RowSums {
  float largest, inverse;  // of the scores, and 1 / the sum of exponentials; 0 where nothing is seen
};

// Scores of a query become exp(score - largest), 0 where it sees nothing.
HWY_INLINE RowSums Exponentials(float* row, int64_t columns, const float* keep, int64_t end) {
  const D d;
  const V lowest = hn::Set(d, -3.4e38f);
  const int64_t whole = WholeVectors(keep, end);
  V most = lowest;
  for (int64_t c = 0; c < whole; c += kLanes) most = hn::Max(most, hn::LoadU(d, row + c));
  for (int64_t c = whole; c < columns; c += kLanes)
    most = hn::Max(most, hn::IfThenElse(Seen(keep, c, end), hn::LoadU(d, row + c), lowest));
  const V shift = hn::MaxOfLanes(d, most);
  V sum = hn::Zero(d);
  for (int64_t c = 0; c < whole; c += kLanes) {
    const V e = GateExp(hn::Sub(hn::LoadU(d, row + c), shift));
    sum = hn::Add(sum, e);
    hn::StoreU(e, d, row + c);
  }
  for (int64_t c = whole; c < columns; c += kLanes) {
    const V e = hn::IfThenElseZero(Seen(keep, c, end), GateExp(hn::Sub(hn::LoadU(d, row + c), shift)));
    sum = hn::Add(sum, e);
    hn::StoreU(e, d, row + c);
  }
  const float total = hn::GetLane(hn::SumOfLanes(d, sum));
  return {hn::GetLane(shift), total == 0 ? 0.0f : 1 / total};
}

void AttentionForwardImpl(const AttentionLayout& l, const AttentionMemory& m, float* y, float* sums, int64_t begin,
                          int64_t end) {
  const D d;
  const int64_t ld = Padded(l.T), channels = Padded(l.width);
  const Scratch keys = Uninitialized(ld * l.width), values = Uninitialized(channels * l.T),
                scores = Uninitialized(kQueries * ld);
  const float scale = static_cast<float>(1 / std::sqrt(static_cast<double>(l.width)));
  const int32_t limit = DropoutLimit(l.dropout);
  const float dropout_scale = DropoutScale(l.dropout);
  float factors[kQueries];
  for (int64_t at = begin; at < end; ++at) {
    const Unit u(l, m, at);
    PackKeys(u.k, l.T, l.width, u.stride, keys.get());
    PackChannels(u.v, l.T, l.width, u.stride, values.get());
    for (int64_t first = l.first_query; first < l.T; first += kQueries) {
      const int64_t rows = l.T - first < kQueries ? l.T - first : kQueries;
      const int64_t seen = l.causal ? first + rows : l.T, columns = Padded(seen);
      Scores(u.q + first * u.stride, u.stride, l.width, keys.get(), rows, seen, scale, scores.get(), ld);
      if (at + 1 < end) PrefetchUnit(Unit(l, m, at + 1), first, rows, l.width);
      for (int64_t r = 0; r < rows; ++r) {
        float* row = scores.get() + r * ld;
        if (u.bias_rows != nullptr) AddRow(u.bias_rows + u.relations[first + r] * ld, columns, row);
        const RowSums row_sums = Exponentials(row, columns, u.keep, l.causal ? first + r + 1 : l.T);
        factors[r] = row_sums.inverse;
        if (sums != nullptr) {
          sums[2 * (at * l.T + first + r)] = row_sums.largest;
          sums[2 * (at * l.T + first + r) + 1] = row_sums.inverse;
        }
        if (l.dropout == 0) continue;
        const DropoutRow key = DropoutRowOf(l.seed, (l.first_unit + at) * l.T + first + r);
        for (int64_t c = 0; c < columns; c += kLanes)
          hn::StoreU(hn::Mul(hn::LoadU(d, row + c), DropoutFactors(key, c, limit, dropout_scale)), d, row + c);
      }
      Mix(scores.get(), ld, rows, seen, factors, values.get(), l.T, l.width,
          y + (u.sample * (l.T - l.first_query) + first - l.first_query) * l.d() + u.head * l.width, l.d());
    }
  }
}

void AttentionBackwardImpl(const AttentionLayout& l, const AttentionMemory& m, const float* sums, const float* grad_y,
                           float* grad_qkv, float* grad_bias_rows, int64_t begin, int64_t end) {
  const D d;
  const int64_t ld = Padded(l.T), channels = Padded(l.width), panels = channels * l.T;
  const Scratch keys = Uninitialized(ld * l.width), value_keys = Uninitialized(ld * l.width);
  const Scratch k = Uninitialized(panels), q = Uninitialized(panels), dy = Uninitialized(panels),
                dk = Uninitialized(panels), dv = Uninitialized(panels);
  const Scratch weights = Uninitialized(kQueries * ld), deltas = Uninitialized(kQueries * ld);
  const float scale = static_cast<float>(1 / std::sqrt(static_cast<double>(l.width)));
  const V by = hn::Set(d, scale);
  const int32_t limit = DropoutLimit(l.dropout);
  const float dropout_scale = DropoutScale(l.dropout);
  float ones[kQueries];
  std::fill(ones, ones + kQueries, 1.0f);
  for (int64_t at = begin; at < end; ++at) {
    const Unit u(l, m, at);
    const float* grad = grad_y + u.sample * l.T * l.d() + u.head * l.width;
    float* dq = grad_qkv + (u.q - m.qkv);
    PackKeys(u.k, l.T, l.width, u.stride, keys.get());
    PackKeys(u.v, l.T, l.width, u.stride, value_keys.get());
    PackChannels(u.k, l.T, l.width, u.stride, k.get());
    PackChannels(u.q, l.T, l.width, u.stride, q.get());
    PackChannels(grad, l.T, l.width, l.d(), dy.get());
    std::memset(dk.get(), 0, sizeof(float) * static_cast<size_t>(panels));
    std::memset(dv.get(), 0, sizeof(float) * static_cast<size_t>(panels));
    for (int64_t first = 0; first < l.T; first += kQueries) {
      const int64_t rows = l.T - first < kQueries ? l.T - first : kQueries;
      const int64_t seen = l.causal ? first + rows : l.T, columns = Padded(seen);
      Scores(u.q + first * u.stride, u.stride, l.width, keys.get(), rows, seen, scale, weights.get(), ld);
      Scores(grad + first * l.d(), l.d(), l.width, value_keys.get(), rows, seen, 1.0f, deltas.get(), ld);
      if (at + 1 < end) {
        const Unit next(l, m, at + 1);
        PrefetchUnit(next, first, rows, l.width);
        PrefetchRows(grad_y + (next.sample * l.T + first) * l.d() + next.head * l.width, rows, l.width, l.d());
      }
      for (int64_t r = 0; r < rows; ++r) {
        float *p = weights.get() + r * ld, *g = deltas.get() + r * ld;
        const int64_t last = l.causal ? first + r + 1 : l.T;
        if (u.bias_rows != nullptr) AddRow(u.bias_rows + u.relations[first + r] * ld, columns, p);
        const float* own = sums + 2 * (at * l.T + first + r);
        const V shift = hn::Set(d, own[0]), inverse = hn::Set(d, own[1]);
        const DropoutRow key = DropoutRowOf(l.seed, (l.first_unit + at) * l.T + first + r);
        V sum = hn::Zero(d);
        const auto step = [&](int64_t c, V w, V e) HWY_ATTR {
          if (l.dropout > 0) e = hn::Mul(e, DropoutFactors(key, c, limit, dropout_scale));
          hn::StoreU(e, d, g + c);
          hn::StoreU(w, d, p + c);
          sum = hn::MulAdd(w, e, sum);
        };
        const auto weight = [&](int64_t c)
                                HWY_ATTR { return hn::Mul(GateExp(hn::Sub(hn::LoadU(d, p + c), shift)), inverse); };
        const int64_t whole = WholeVectors(u.keep, last);
        for (int64_t c = 0; c < whole; c += kLanes) step(c, weight(c), hn::LoadU(d, g + c));
        for (int64_t c = whole; c < columns; c += kLanes) {
          const auto sees = Seen(u.keep, c, last);
          step(c, hn::IfThenElseZero(sees, weight(c)), hn::IfThenElseZero(sees, hn::LoadU(d, g + c)));
        }
        const V mean = hn::SumOfLanes(d, sum);
        if (grad_bias_rows != nullptr) {
          float* const grad_row = grad_bias_rows + (at * m.keys.relation_count + u.relations[first + r]) * ld;
          for (int64_t c = 0; c < columns; c += kLanes) {
            const V delta = hn::Mul(hn::LoadU(d, p + c), hn::Sub(hn::LoadU(d, g + c), mean));
            hn::StoreU(hn::Add(hn::LoadU(d, grad_row + c), delta), d, grad_row + c);
          }
        }
        for (int64_t c = 0; c < columns; c += kLanes) {
          const V w = hn::LoadU(d, p + c);
          hn::StoreU(hn::Mul(hn::Mul(w, by), hn::Sub(hn::LoadU(d, g + c), mean)), d, g + c);
          if (l.dropout > 0) hn::StoreU(hn::Mul(w, DropoutFactors(key, c, limit, dropout_scale)), d, p + c);
        }
      }
      Mix(deltas.get(), ld, rows, seen, ones, k.get(), l.T, l.width, dq + first * u.stride, u.stride);
      MixTransposed(deltas.get(), ld, rows, seen, q.get(), first, l.T, l.width, dk.get());
      MixTransposed(weights.get(), ld, rows, seen, dy.get(), first, l.T, l.width, dv.get());
    }
    UnpackChannels(dk.get(), l.T, l.width, u.stride, dq + l.d());
    UnpackChannels(dv.get(), l.T, l.width, u.stride, dq + 2 * l.d());
  }
}

}  // namespace lanthorn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lanthorn::kernels {
HWY_EXPORT(AttentionColumnsImpl);
HWY_EXPORT(AttentionForwardImpl);
HWY_EXPORT(AttentionBackwardImpl);

int64_t AttentionColumns(int64_t T) { return HWY_DYNAMIC_DISPATCH(AttentionColumnsImpl)(T); }
void AttentionForward(const AttentionLayout& layout, const AttentionMemory& memory, float* y, float* sums,
                      int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(AttentionForwardImpl)(layout, memory, y, sums, begin, end);
}
void AttentionBackward(const AttentionLayout& layout, const AttentionMemory& memory, const float* sums,
                       const float* grad_y, float* grad_qkv, float* grad_bias_rows, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(AttentionBackwardImpl)(layout, memory, sums, grad_y, grad_qkv, grad_bias_rows, begin, end);
}
}  // namespace lanthorn::kernels
#endif  // HWY_ONCE
