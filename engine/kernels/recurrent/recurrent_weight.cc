// Compiled once per SIMD target by Highway's foreach_target.

#include <cmath>
#include <cstring>

#include "engine/kernels/recurrent/recurrent_steps.h"
#include "engine/kernels/simd/scratch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/recurrent/recurrent_weight.cc"
// foreach_target.h must come before highway.h.
// clang-format off
#include "engine/kernels/simd/simd_targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "engine/kernels/simd/tile-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace lanthorn::kernels::HWY_NAMESPACE {

// Sum of the rows of a (rows, P) block: four rows at a time, since each addition waits for the one before.
HWY_INLINE void SumRows(const float* block, int64_t rows, V sum[2]) {
  const D d;
  V part[4][2];
  for (auto& p : part) p[0] = p[1] = hn::Zero(d);
  int64_t t = 0;
  for (; t + 4 <= rows; t += 4) {
    HWY_UNROLL(4)
    for (int64_t u = 0; u < 4; ++u) {
      part[u][0] = hn::Add(part[u][0], hn::LoadU(d, block + (t + u) * kPanel));
      part[u][1] = hn::Add(part[u][1], hn::LoadU(d, block + (t + u) * kPanel + kLanes));
    }
  }
  for (; t < rows; ++t) {
    part[0][0] = hn::Add(part[0][0], hn::LoadU(d, block + t * kPanel));
    part[0][1] = hn::Add(part[0][1], hn::LoadU(d, block + t * kPanel + kLanes));
  }
  for (int v = 0; v < 2; ++v) sum[v] = hn::Add(hn::Add(part[0][v], part[1][v]), hn::Add(part[2][v], part[3][v]));
}

HWY_INLINE double Total(V a, V b) { return static_cast<double>(hn::GetLane(hn::SumOfLanes(D(), hn::Add(a, b)))); }

// The rows that one sample multiplied the weight with: `first` at step 0 (or null), `rest` at the steps after it.
struct SampleRows {
  const float *first, *rest;
  int64_t rest_count;
};

// The same sum of squares in double, entry by entry: for gradients above 1e19, whose squares are beyond float's range.
double SquaresInDouble(const SampleRows& x, const float* deltas, int64_t columns) {
  const int64_t shift = x.first != nullptr ? 1 : 0;
  double total = 0;
  for (int64_t i = 0; i < columns; ++i) {
    for (int64_t lane = 0; lane < kPanel; ++lane) {
      double sum = shift == 1 ? static_cast<double>(x.first[i]) * deltas[lane] : 0;
      for (int64_t k = 0; k < x.rest_count; ++k)
        sum += static_cast<double>(x.rest[k * columns + i]) * deltas[(k + shift) * kPanel + lane];
      total += sum * sum;
    }
  }
  return total;
}

// sum (columns, P) += the sample's gradient; returns the gradient's sum of squares. The left operand is read across its
// rows as it stands: packing it would cost more than the cache misses do.
HWY_INLINE double AddSample(const SampleRows& x, const float* deltas, int64_t columns, float* sum) {
  V squares[2] = {hn::Zero(D()), hn::Zero(D())};
  ForRowBlocks(columns, [&](auto rows, int64_t first) HWY_ATTR {
    Tile<rows> tile;
    Clear<rows>(tile);
    if (x.first != nullptr) Multiply<rows>({x.first + first, 1, 0, 1}, deltas, tile);
    const float* behind = x.first != nullptr ? deltas + kPanel : deltas;
    Multiply<rows>({x.rest + first, 1, columns, x.rest_count}, behind, tile);
    float* to = sum + first * kPanel;
    constexpr int kRows = rows;
    HWY_UNROLL(13)
    for (int i = 0; i < kRows; ++i) {
      const V left = tile.v[i][0], right = tile.v[i][1];
      squares[0] = hn::MulAdd(left, left, squares[0]);
      squares[1] = hn::MulAdd(right, right, squares[1]);
      hn::StoreU(hn::Add(hn::LoadU(D(), to + i * kPanel), left), D(), to + i * kPanel);
      hn::StoreU(hn::Add(hn::LoadU(D(), to + i * kPanel + kLanes), right), D(), to + i * kPanel + kLanes);
    }
  });
  const double total = Total(squares[0], squares[1]);
  return std::isfinite(total) ? total : SquaresInDouble(x, deltas, columns);
}

void WeightGradientImpl(const RecurrentLayout& l, const WeightMemory& m, int64_t begin, int64_t end) {
  const D d;
  const int64_t panel = m.inputs * kPanel;
  const Scratch sums = Zeros((end - begin) * panel), bias = Zeros((end - begin) * kPanel);
  for (int64_t sample = 0; sample < l.B; ++sample) {
    const SampleRows rows = {m.first_row != nullptr ? m.first_row + sample * m.inputs : nullptr,
                             m.rows + sample * l.T * m.inputs, m.first_row != nullptr ? l.T - 1 : l.T};
    for (int64_t job = begin; job < end; ++job) {
      const int64_t gate = job / l.panels, slot = m.hidden ? l.HiddenSlot(gate) : l.InputSlot(gate);
      const float* deltas = m.activations + l.Block(sample, slot, job % l.panels);
      if (m.bias != nullptr) {
        V sum[2];
        SumRows(deltas, l.T, sum);
        float* to = bias.get() + (job - begin) * kPanel;
        for (int v = 0; v < 2; ++v) hn::StoreU(hn::Add(hn::LoadU(d, to + v * kLanes), sum[v]), d, to + v * kLanes);
        if (m.bias_squares != nullptr) {
          HWY_ALIGN float part[kPanel];
          for (int v = 0; v < 2; ++v) hn::StoreU(sum[v], d, part + v * kLanes);
          double& square = m.bias_squares[job * l.B + sample];
          square = 0;
          for (const float value : part) square += static_cast<double>(value) * static_cast<double>(value);
        }
      }
      if (m.weight == nullptr) continue;
      const double squares = AddSample(rows, deltas, m.inputs, sums.get() + (job - begin) * panel);
      if (m.weight_squares != nullptr) m.weight_squares[job * l.B + sample] = squares;
    }
  }
  for (int64_t job = begin; job < end; ++job) {
    const int64_t gate = job / l.panels, p = job % l.panels, row = gate * l.H + p * kPanel;
    const float* from = sums.get() + (job - begin) * panel;
    for (int64_t lane = 0; lane < l.Valid(p); ++lane) {
      for (int64_t i = 0; m.weight != nullptr && i < m.inputs; ++i)
        m.weight[(row + lane) * m.inputs + i] = from[i * kPanel + lane];
      if (m.bias != nullptr) m.bias[row + lane] = bias[(job - begin) * kPanel + lane];
    }
  }
}

void MultiplyRowsImpl(const ProductMemory& m, int64_t begin, int64_t end) {
  constexpr int64_t kChunk = 8 * kTileRows;  // rows of A that stay in cache while the panels of B pass by
  HWY_ALIGN float part[kTileRows * kPanel];
  for (int64_t chunk = begin; chunk < end; chunk += kChunk) {
    const int64_t count = end - chunk < kChunk ? end - chunk : kChunk;
    for (int64_t p = 0; p * kPanel < m.columns; ++p) {
      const int64_t valid = m.columns - p * kPanel;
      ForRowBlocks(count, [&](auto rows, int64_t at) HWY_ATTR {
        Tile<rows> tile;
        m.bias != nullptr ? Load<rows>(m.bias + p * kPanel, 0, tile) : Clear<rows>(tile);
        Multiply<rows>({m.a + (chunk + at) * m.row, m.row, m.step, m.depth}, m.b + p * m.panel, tile);
        float* to = m.c + (chunk + at) * m.columns + p * kPanel;
        if (valid >= kPanel) return Store<rows>(tile, to, m.columns);
        Store<rows>(tile, part, kPanel);
        for (int64_t i = 0; i < rows; ++i)
          std::memcpy(to + i * m.columns, part + i * kPanel, sizeof(float) * static_cast<size_t>(valid));
      });
    }
  }
}

void CollapseStepsImpl(const RecurrentLayout& l, const float* activations, const int64_t* row_of_step, float* sums,
                       int64_t first, int64_t last) {
  const D d;
  for (int64_t sample = first; sample < last; ++sample) {
    for (int64_t job = 0; job < l.G * l.panels; ++job) {
      const float* from = activations + l.Block(sample, l.InputSlot(job / l.panels), job % l.panels);
      for (int64_t t = 0; t < l.T; ++t, from += kPanel) {
        float* to = sums + row_of_step[sample * l.T + t] * l.G * l.padded + job * kPanel;
        hn::StoreU(hn::Add(hn::LoadU(d, to), hn::LoadU(d, from)), d, to);
        hn::StoreU(hn::Add(hn::LoadU(d, to + kLanes), hn::LoadU(d, from + kLanes)), d, to + kLanes);
      }
    }
  }
}

void AddRowsImpl(const float* rows, const int64_t* ids, int64_t count, int64_t width, int64_t begin, int64_t end,
                 float* to) {
  const D d;
  for (int64_t r = 0; r < count; ++r) {
    const float* from = rows + r * width;
    float* sum = to + ids[r] * width;
    int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes)
      hn::StoreU(hn::Add(hn::LoadU(d, sum + i), hn::LoadU(d, from + i)), d, sum + i);
    for (; i < end; ++i) sum[i] += from[i];
  }
}

}  // namespace lanthorn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lanthorn::kernels {
HWY_EXPORT(WeightGradientImpl);
HWY_EXPORT(MultiplyRowsImpl);
HWY_EXPORT(CollapseStepsImpl);
HWY_EXPORT(AddRowsImpl);

void WeightGradient(const RecurrentLayout& layout, const WeightMemory& memory, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(WeightGradientImpl)(layout, memory, begin, end);
}
void MultiplyRows(const ProductMemory& memory, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(MultiplyRowsImpl)(memory, begin, end);
}
void CollapseSteps(const RecurrentLayout& layout, const float* activations, const int64_t* row_of_step, float* sums,
                   int64_t first, int64_t last) {
  HWY_DYNAMIC_DISPATCH(CollapseStepsImpl)(layout, activations, row_of_step, sums, first, last);
}
void AddRows(const float* rows, const int64_t* ids, int64_t count, int64_t width, int64_t begin, int64_t end,
             float* to) {
  HWY_DYNAMIC_DISPATCH(AddRowsImpl)(rows, ids, count, width, begin, end, to);
}
}  // namespace lanthorn::kernels
#endif  // HWY_ONCE
