// One layer of a GRU or LSTM over a whole sequence, forward and backward, with per-sample gradient norms.
//
// The batch is split over threads; each thread runs all time steps of its rows without a barrier. Input projections and
// weight gradients are large products outside of the time loop. With a recorder open, the weight gradients are taken
// sample by sample (the product's K loop stops at each sample), so that the norms cost one pass over a tile that is
// still in cache (kernels/README.md, split-K at samples).
//
// Results are bit-identical for any number of threads: rows of the batch are independent of each other, and each panel
// of a weight adds up its samples in their order.
#pragma once

#include <ATen/core/Tensor.h>

#include <utility>

namespace lanthorn::kernels {

enum class Cell { kGru, kLstm };

inline int64_t GateCount(Cell cell) { return cell == Cell::kGru ? 3 : 4; }

// Parameters of one layer with PyTorch's shapes and gate order (r, z, n and i, f, g, o): w_ih (G*H, I), w_hh (G*H, H),
// b_ih and b_hh (G*H) or undefined.
struct RecurrentWeights {
  at::Tensor w_ih, w_hh, b_ih, b_hh;
};

struct RecurrentOutput {
  at::Tensor output;  // (B, T, H)
  at::Tensor h, c;    // (B, H) after the last step; c is undefined for the GRU
};

// input (B, T, I); h0 and c0 (B, H) or undefined for zeros. Takes float32 on the CPU through the fused kernel,
// everything else through RecurrentReference. Wrong shapes are c10::Error with the tag [gru] or [lstm]. There is no
// double backward: asking for one is an error.
RecurrentOutput Recurrent(Cell cell, const at::Tensor& input, const at::Tensor& h0, const at::Tensor& c0,
                          const RecurrentWeights& weights);

// The same for the rows `ids` (B, T) of a table (V, I), such as an embedding, without gathering them: the input
// projection is that of the table. An id outside of the table is an error. Only where FoldsTable: float32 on the CPU
// and V < B T / 4; elsewhere it would not pay.
RecurrentOutput RecurrentTable(Cell cell, const at::Tensor& ids, const at::Tensor& table, const at::Tensor& h0,
                               const at::Tensor& c0, const RecurrentWeights& weights);
bool FoldsTable(const at::Tensor& ids, const at::Tensor& table);

// The same from plain operators: the fallback for other devices, and the oracle.
RecurrentOutput RecurrentReference(Cell cell, const at::Tensor& input, const at::Tensor& h0, const at::Tensor& c0,
                                   const RecurrentWeights& weights);

}  // namespace lanthorn::kernels
