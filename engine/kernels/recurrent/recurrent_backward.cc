// Compiled once per SIMD target by Highway's foreach_target.
#include <hwy/cache_control.h>

#include <algorithm>
#include <cstring>

#include "engine/kernels/recurrent/recurrent_steps.h"
#include "engine/kernels/simd/scratch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/recurrent/recurrent_backward.cc"
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

// A panel of a row that may end before the panel does: zeros stand behind its end.
class PanelOf {
 public:
  HWY_INLINE PanelOf(const float* row, int64_t valid) : at_(row) {
    if (valid >= kPanel) return;
    std::memset(copy_, 0, sizeof copy_);
    if (row != nullptr) std::memcpy(copy_, row, sizeof(float) * static_cast<size_t>(valid));
    at_ = copy_;
  }
  HWY_INLINE V At(int64_t v) const { return hn::LoadU(D(), at_ + v); }

 private:
  const float* at_;
  HWY_ALIGN float copy_[kPanel];
};

struct BackwardRow {
  float* slot;  // the step's line of slot 0, slots `slots` floats apart
  int64_t slots;
  const float* sums;  // W_hh^T times the next step's gradients
  float* deltas;      // gradients of the gates' W_hh h, gates `padded` floats apart
  int64_t padded;
  float* carry;  // gradient of h that does not pass W_hh, in and out
};

HWY_INLINE void GruStepBack(const BackwardRow& row, const PanelOf& h, const PanelOf& dy) {
  const D d;
  HWY_UNROLL(2)
  for (int64_t v = 0; v < kPanel; v += kLanes) {
    float* slot = row.slot + v;
    const V sum = hn::Add(hn::Add(hn::LoadU(d, row.sums + v), hn::LoadU(d, row.carry + v)), dy.At(v));
    const GruDeltas y =
        GruBackward(hn::LoadU(d, slot), hn::LoadU(d, slot + row.slots), hn::LoadU(d, slot + 2 * row.slots),
                    hn::LoadU(d, slot + 3 * row.slots), h.At(v), sum);
    hn::StoreU(y.r, d, slot);
    hn::StoreU(y.z, d, slot + row.slots);
    hn::StoreU(y.n, d, slot + 2 * row.slots);
    hn::StoreU(y.m, d, slot + 3 * row.slots);
    hn::StoreU(y.r, d, row.deltas + v);
    hn::StoreU(y.z, d, row.deltas + row.padded + v);
    hn::StoreU(y.m, d, row.deltas + 2 * row.padded + v);
    hn::StoreU(y.carry, d, row.carry + v);
  }
}

HWY_INLINE void LstmStepBack(const BackwardRow& row, const PanelOf& c_before, const PanelOf& dy, float* dc) {
  const D d;
  HWY_UNROLL(2)
  for (int64_t v = 0; v < kPanel; v += kLanes) {
    float* slot = row.slot + v;
    const LstmDeltas y =
        LstmBackward(hn::LoadU(d, slot), hn::LoadU(d, slot + row.slots), hn::LoadU(d, slot + 2 * row.slots),
                     hn::LoadU(d, slot + 3 * row.slots), hn::LoadU(d, slot + 4 * row.slots), c_before.At(v),
                     hn::Add(hn::LoadU(d, row.sums + v), dy.At(v)), hn::LoadU(d, dc + v));
    hn::StoreU(y.i, d, slot);
    hn::StoreU(y.f, d, slot + row.slots);
    hn::StoreU(y.g, d, slot + 2 * row.slots);
    hn::StoreU(y.o, d, slot + 3 * row.slots);
    hn::StoreU(y.i, d, row.deltas + v);
    hn::StoreU(y.f, d, row.deltas + row.padded + v);
    hn::StoreU(y.g, d, row.deltas + 2 * row.padded + v);
    hn::StoreU(y.o, d, row.deltas + 3 * row.padded + v);
    hn::StoreU(y.dc, d, dc + v);
  }
}

// to (rows, P) = deltas (rows, G * padded) W_hh of the columns of panel p. fetch(row) is called for each row, spread
// over the first products.
template <class Fetch>
HWY_INLINE void HiddenGradient(const RecurrentLayout& l, const float* w_hh, const float* deltas, int64_t p,
                               int64_t count, float* to, Fetch fetch) {
  for (int64_t gate = 0; gate < l.G; ++gate) {  // one gate's part of the weight stays in the first-level cache
    const float* weight = w_hh + (p * l.G + gate) * l.padded * kPanel;
    ForRowBlocks(count, [&](auto rows, int64_t at) HWY_ATTR {
      for (int64_t row = at; gate == 0 && row < at + rows; ++row) fetch(row);
      Tile<rows> tile;
      gate == 0 ? Clear<rows>(tile) : Load<rows>(to + at * kPanel, kPanel, tile);
      Multiply<rows>({deltas + at * l.G * l.padded + gate * l.padded, l.G * l.padded, 1, l.H}, weight, tile);
      Store<rows>(tile, to + at * kPanel, kPanel);
    });
  }
}

void BackwardSamplesImpl(const RecurrentLayout& l, const BackwardMemory& m, int64_t first, int64_t last) {
  const int64_t count = last - first;
  const bool lstm = l.cell == Cell::kLstm;
  const Scratch deltas = Zeros(2 * count * l.G * l.padded);  // of the step after and of this one, in turn
  const Scratch carry = Zeros(count * l.padded);
  const Scratch dc = Zeros(lstm ? count * l.padded : 0);
  // W_hh^T times the gradients: of one panel for all rows; in lower precision of all panels at once.
  const int64_t sums_row = m.low != nullptr ? l.padded : kPanel;
  const Scratch sums = Zeros(count * sums_row);
  for (int64_t row = 0; lstm && m.grad_c != nullptr && row < count; ++row) {
    std::memcpy(dc.get() + row * l.padded, m.grad_c + (first + row) * l.H, sizeof(float) * static_cast<size_t>(l.H));
  }
  for (int64_t t = l.T - 1; t >= 0; --t) {
    float* now = deltas.get() + (t % 2) * count * l.G * l.padded;
    const float* after = deltas.get() + ((t + 1) % 2) * count * l.G * l.padded;
    if (m.low != nullptr && t + 1 < l.T) m.low->Run(count, after, l.G * l.padded, 1, sums.get(), l.padded);
    for (int64_t p = 0; p < l.panels; ++p) {
      // The step's lines of this panel lie far apart; they are fetched while the products run.
      const auto fetch = [&](int64_t row) HWY_ATTR {
        const int64_t sample = first + row, at = (sample * l.T + t) * l.H + p * kPanel;
        for (int64_t slot = 0; slot < l.slots; ++slot)
          hwy::Prefetch(m.activations + l.Block(sample, slot, p) + t * kPanel);
        hwy::Prefetch(m.grad_output + at);
        if (t > 0) hwy::Prefetch(m.output + at - l.H);
      };
      if (m.low == nullptr && t + 1 < l.T) HiddenGradient(l, m.w_hh, after, p, count, sums.get(), fetch);
      for (int64_t row = 0; row < count; ++row) {
        const int64_t sample = first + row, column = p * kPanel;
        float* slot = m.activations + l.Block(sample, 0, p) + t * kPanel;
        const BackwardRow step = {slot,
                                  l.slot_stride,
                                  sums.get() + row * sums_row + (m.low != nullptr ? column : 0),
                                  now + row * l.G * l.padded + column,
                                  l.padded,
                                  carry.get() + row * l.padded + column};
        const PanelOf dy(m.grad_output + (sample * l.T + t) * l.H + column, l.Valid(p));
        if (lstm) {
          // Cell states are kept padded, but for the first.
          const float* c = t > 0 ? slot + 4 * step.slots - kPanel : m.c0 + sample * l.H + column;
          LstmStepBack(step, PanelOf(c, t > 0 ? kPanel : l.Valid(p)), dy, dc.get() + row * l.padded + column);
        } else {
          const float* h = t > 0 ? m.output + (sample * l.T + t - 1) * l.H : m.h0 + sample * l.H;
          GruStepBack(step, PanelOf(h + column, l.Valid(p)), dy);
        }
      }
    }
  }
  if (m.low != nullptr) m.low->Run(count, deltas.get(), l.G * l.padded, 1, sums.get(), l.padded);
  for (int64_t p = 0; p < l.panels; ++p) {
    if (m.low == nullptr) HiddenGradient(l, m.w_hh, deltas.get(), p, count, sums.get(), [](int64_t) {});
    for (int64_t row = 0; row < count; ++row) {
      const int64_t to = (first + row) * l.H + p * kPanel, from = row * l.padded + p * kPanel;
      for (int64_t i = 0; i < l.Valid(p); ++i) {
        m.grad_h0[to + i] = sums[row * sums_row + (m.low != nullptr ? p * kPanel : 0) + i] + carry[from + i];
        if (lstm) m.grad_c0[to + i] = dc[from + i];
      }
    }
  }
}

void InputGradientImpl(const RecurrentLayout& l, const float* activations, const float* w_ih, float* grad_input,
                       int64_t first, int64_t last) {
  const int64_t columns = Panels(l.I);
  HWY_ALIGN float part[kTileRows * kPanel];
  for (int64_t sample = first; sample < last; ++sample) {
    for (int64_t p = 0; p < columns; ++p) {
      const int64_t valid = std::min(kPanel, l.I - p * kPanel);
      ForRowBlocks(l.T, [&](auto rows, int64_t at) HWY_ATTR {
        Tile<rows> tile;
        Clear<rows>(tile);
        for (int64_t gate = 0; gate < l.G; ++gate) {
          const float* a = activations + l.Block(sample, l.InputSlot(gate), 0) + at * kPanel;
          MultiplyPanels<rows>(a, l.panels, l.T * kPanel, w_ih + (p * l.G + gate) * l.padded * kPanel, tile);
        }
        float* to = grad_input + (sample * l.T + at) * l.I + p * kPanel;
        if (valid == kPanel) {
          Store<rows>(tile, to, l.I);
        } else {
          Store<rows>(tile, part, kPanel);
          for (int64_t row = 0; row < rows; ++row) {
            std::memcpy(to + row * l.I, part + row * kPanel, sizeof(float) * static_cast<size_t>(valid));
          }
        }
      });
    }
  }
}

}  // namespace lanthorn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lanthorn::kernels {
HWY_EXPORT(BackwardSamplesImpl);
HWY_EXPORT(InputGradientImpl);

void BackwardSamples(const RecurrentLayout& layout, const BackwardMemory& memory, int64_t first, int64_t last) {
  HWY_DYNAMIC_DISPATCH(BackwardSamplesImpl)(layout, memory, first, last);
}
void InputGradient(const RecurrentLayout& layout, const float* activations, const float* w_ih, float* grad_input,
                   int64_t first, int64_t last) {
  HWY_DYNAMIC_DISPATCH(InputGradientImpl)(layout, activations, w_ih, grad_input, first, last);
}
}  // namespace lanthorn::kernels
#endif  // HWY_ONCE
