// Compiled once per SIMD target by Highway's foreach_target.
#include <hwy/cache_control.h>

#include <algorithm>
#include <cstring>

#include "engine/kernels/recurrent/recurrent_steps.h"
#include "engine/kernels/simd/scratch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/recurrent/recurrent_forward.cc"
// foreach_target.h must come before highway.h.
// clang-format off
#include "engine/kernels/simd/simd_targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "engine/kernels/recurrent/gates-inl.h"
#include "engine/kernels/simd/tile-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace lanthorn::kernels::HWY_NAMESPACE {

// One sample at a time: its input stays in cache while the packed weight passes by.
void ProjectInput(const RecurrentLayout& l, const ForwardMemory& m, int64_t sample) {
  for (int64_t gate = 0; gate < l.G; ++gate) {
    for (int64_t p = 0; p < l.panels; ++p) {
      const float* weight = m.w_ih + (gate * l.panels + p) * l.I * kPanel;
      const float* bias = m.bias + gate * l.padded + p * kPanel;
      float* to = m.activations + l.Block(sample, gate, p);
      ForRowBlocks(l.T, [&](auto rows, int64_t first) HWY_ATTR {
        Tile<rows> tile;
        Load<rows>(bias, 0, tile);
        Multiply<rows>({m.input + (sample * l.T + first) * l.I, l.I, 1, l.I}, weight, tile);
        Store<rows>(tile, to + first * kPanel, kPanel);
      });
    }
  }
}

struct StepRow {
  const float* x;  // the input projection of gate 0, gates `x_stride` floats apart
  int64_t x_stride;
  const float* sums;  // W_hh h of this sample's gates, `stride` floats apart
  int64_t stride;
  float* slot;  // the step's line of slot 0, slots `slots` floats apart
  int64_t slots;
  const float* h;  // before the step
  float* h_new;
  float* output;  // what is valid of h_new goes here too
  int64_t valid;
};

// A step's element-wise part comes in two passes over the rows: within one row the second exp waits for the first, and
// the passes let the CPU work on several rows at once.
HWY_INLINE V GateSum(const StepRow& row, int64_t gate, int64_t v) {
  return hn::Add(hn::LoadU(D(), row.x + gate * row.x_stride + v), hn::LoadU(D(), row.sums + gate * row.stride + v));
}

HWY_INLINE void GruGates(const StepRow& row) {
  for (int64_t v = 0; v < kPanel; v += kLanes) {
    hn::StoreU(GateSigmoid(GateSum(row, 0, v)), D(), row.slot + v);
    hn::StoreU(GateSigmoid(GateSum(row, 1, v)), D(), row.slot + row.slots + v);
  }
}

HWY_INLINE void PutState(const StepRow& row, int64_t v, V h) {
  hn::StoreU(h, D(), row.h_new + v);
  if (row.valid == kPanel) {
    hn::StoreU(h, D(), row.output + v);
  } else {
    for (int64_t i = v; i < std::min(v + kLanes, row.valid); ++i) row.output[i] = row.h_new[i];
  }
}

HWY_INLINE void GruState(const StepRow& row, const float* b_hn) {
  const D d;
  for (int64_t v = 0; v < kPanel; v += kLanes) {
    const V r = hn::LoadU(d, row.slot + v), z = hn::LoadU(d, row.slot + row.slots + v);
    const V m = hn::Add(hn::LoadU(d, row.sums + 2 * row.stride + v), hn::LoadU(d, b_hn + v));
    const V n = GateTanh(hn::MulAdd(r, m, hn::LoadU(d, row.x + 2 * row.x_stride + v)));
    hn::StoreU(n, d, row.slot + 2 * row.slots + v);
    hn::StoreU(m, d, row.slot + 3 * row.slots + v);
    PutState(row, v, hn::MulAdd(z, hn::Sub(hn::LoadU(d, row.h + v), n), n));
  }
}

HWY_INLINE void LstmGates(const StepRow& row) {
  for (int64_t v = 0; v < kPanel; v += kLanes) {
    hn::StoreU(GateSigmoid(GateSum(row, 0, v)), D(), row.slot + v);
    hn::StoreU(GateSigmoid(GateSum(row, 1, v)), D(), row.slot + row.slots + v);
    hn::StoreU(GateTanh(GateSum(row, 2, v)), D(), row.slot + 2 * row.slots + v);
    hn::StoreU(GateSigmoid(GateSum(row, 3, v)), D(), row.slot + 3 * row.slots + v);
  }
}

// c: this sample's cell state, in and out.
HWY_INLINE void LstmState(const StepRow& row, float* c) {
  const D d;
  for (int64_t v = 0; v < kPanel; v += kLanes) {
    const auto gate = [&](int64_t slot) HWY_ATTR { return hn::LoadU(d, row.slot + slot * row.slots + v); };
    const V cell = hn::MulAdd(gate(1), hn::LoadU(d, c + v), hn::Mul(gate(0), gate(2)));
    hn::StoreU(cell, d, row.slot + 4 * row.slots + v);
    hn::StoreU(cell, d, c + v);
    PutState(row, v, hn::Mul(gate(3), GateTanh(cell)));
  }
}

void ForwardSamplesImpl(const RecurrentLayout& l, const ForwardMemory& m, int64_t first, int64_t last) {
  for (int64_t sample = first; m.input != nullptr && sample < last; ++sample) ProjectInput(l, m, sample);
  const int64_t count = last - first;
  // h before and after the step, padded; W_hh h of one panel for all gates; LSTM cell states.
  // W_hh h: of one panel for all gates and rows; in lower precision of all panels at once.
  const int64_t width = m.low != nullptr ? l.padded : kPanel;
  const Scratch h = Zeros(2 * count * l.padded), sums = Zeros(l.G * count * width), c = Zeros(count * l.padded);
  for (int64_t row = 0; row < count; ++row) {
    const size_t bytes = sizeof(float) * static_cast<size_t>(l.H);
    std::memcpy(h.get() + row * l.padded, m.h0 + (first + row) * l.H, bytes);
    if (l.cell == Cell::kLstm) std::memcpy(c.get() + row * l.padded, m.c0 + (first + row) * l.H, bytes);
  }
  for (int64_t t = 0; t < l.T; ++t) {
    const float* before = h.get() + (t % 2) * count * l.padded;
    float* after = h.get() + ((t + 1) % 2) * count * l.padded;
    if (m.low != nullptr) m.low->Run(count, before, l.padded, 1, sums.get(), l.G * l.padded);
    for (int64_t p = 0; p < l.panels; ++p) {
      for (int64_t gate = 0; m.low == nullptr && gate < l.G; ++gate) {
        const float* weight = m.w_hh + (gate * l.panels + p) * l.H * kPanel;
        float* to = sums.get() + gate * count * kPanel;
        ForRowBlocks(count, [&](auto rows, int64_t at) HWY_ATTR {
          // These rows' lines of the panel lie far apart; they are fetched while the products run.
          for (int64_t row = first + at; gate == 0 && row < first + at + rows; ++row) {
            for (int64_t slot = 0; slot < l.slots; ++slot)
              hwy::Prefetch(m.activations + l.Block(row, slot, p) + t * kPanel);
          }
          Tile<rows> tile;
          Clear<rows>(tile);
          Multiply<rows>({before + at * l.padded, l.padded, 1, l.H}, weight, tile);
          Store<rows>(tile, to + at * kPanel, kPanel);
        });
      }
      const auto step = [&](int64_t row) HWY_ATTR {
        const int64_t at = row * l.padded + p * kPanel;
        StepRow r;
        r.slot = m.activations + l.Block(first + row, 0, p) + t * kPanel;
        r.slots = l.slot_stride;
        r.x = r.slot;
        r.x_stride = r.slots;
        if (m.table != nullptr) {
          r.x = m.table + m.ids[(first + row) * l.T + t] * l.G * l.padded + p * kPanel;
          r.x_stride = l.padded;
        }
        r.sums = m.low != nullptr ? sums.get() + row * l.G * l.padded + p * kPanel : sums.get() + row * kPanel;
        r.stride = m.low != nullptr ? l.padded : count * kPanel;
        r.h = before + at;
        r.h_new = after + at;
        r.output = m.output + ((first + row) * l.T + t) * l.H + p * kPanel;
        r.valid = l.Valid(p);
        return r;
      };
      const bool gru = l.cell == Cell::kGru;
      for (int64_t row = 0; row < count; ++row) gru ? GruGates(step(row)) : LstmGates(step(row));
      for (int64_t row = 0; row < count; ++row) {
        const StepRow r = step(row);
        gru ? GruState(r, m.b_hn + p * kPanel) : LstmState(r, c.get() + row * l.padded + p * kPanel);
      }
    }
  }
}

}  // namespace lanthorn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lanthorn::kernels {
HWY_EXPORT(ForwardSamplesImpl);

void ForwardSamples(const RecurrentLayout& layout, const ForwardMemory& memory, int64_t first, int64_t last) {
  HWY_DYNAMIC_DISPATCH(ForwardSamplesImpl)(layout, memory, first, last);
}
}  // namespace lanthorn::kernels
#endif  // HWY_ONCE
