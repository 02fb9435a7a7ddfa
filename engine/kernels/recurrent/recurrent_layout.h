// How the fused recurrent kernel lays out its memory.
//
// Hidden units are cut into panels of P (two SIMD vectors), the last one padded with zeros. What one layer keeps of a
// sequence, its activations, is stored as [sample][slot][panel][step][P]: a slot is one vector per step, such as a
// gate. The activations of one sample, slot and panel are then a (T, P) block that the weight gradient multiplies as it
// stands, and the backward puts the gradients of a step where its activations were.
//
//   GRU:  slots r, z, n, m = W_hn h + b_hn;   after the backward dr, dz, dn and dm = dn r
//   LSTM: slots i, f, g, o, c;                after the backward di, df, dg, do
//
// Before the forward the gate slots (r, z, n; i, f, g, o) hold the input projection with the biases that can be added
// ahead.
#pragma once

#include <cstdint>

#include "engine/kernels/recurrent/recurrent.h"

namespace lanthorn::kernels {

struct RecurrentLayout {
  RecurrentLayout(Cell cell, int64_t samples, int64_t steps, int64_t inputs, int64_t hidden, int64_t panel)
      : cell(cell),
        B(samples),
        T(steps),
        I(inputs),
        H(hidden),
        P(panel),
        G(GateCount(cell)),
        slots(cell == Cell::kGru ? 4 : 5),
        panels((hidden + panel - 1) / panel),
        padded(panels * panel),
        slot_stride(panels * steps * panel + 9 * panel),
        sample_stride(slots * slot_stride + 3 * panel) {}

  // First float of the (T, P) block.
  int64_t Block(int64_t sample, int64_t slot, int64_t at) const {
    return sample * sample_stride + slot * slot_stride + at * T * P;
  }
  int64_t ActivationSize() const { return B * sample_stride; }
  // Valid hidden units of a panel: P, or fewer in the last.
  int64_t Valid(int64_t at) const { return at + 1 < panels ? P : H - at * P; }
  // The slot that holds gate `gate`'s gradient with respect to W_ih x or to W_hh h.
  int64_t InputSlot(int64_t gate) const { return gate; }
  int64_t HiddenSlot(int64_t gate) const { return cell == Cell::kGru && gate == 2 ? 3 : gate; }

  Cell cell;
  int64_t B, T, I, H, P, G, slots, panels, padded, slot_stride, sample_stride;
};

}  // namespace lanthorn::kernels
