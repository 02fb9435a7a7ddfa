// The element-wise part of one time step of a GRU or LSTM for one sample: gates forward and backward in one pass.
// float goes through Highway's run-time dispatch (AVX2, AVX-512, NEON ...), double through libm, for tests.
//
// GRU (gates r, z, n):   r = sig(x_r + h_r)  z = sig(x_z + h_z)  m = W_hn h + b_hn  n = tanh(x_n + r m)  h' = (1-z) n +
// z h LSTM (gates i, f, g, o): c' = f c + i g,  h' = o tanh(c') where x_* = W_i* x + b_i* and h_* = W_h* h + b_h*.
#pragma once

#include <cstdint>

namespace lanthorn::kernels {

// One row's pointers. All vectors are contiguous; H is the hidden size, G the number of gates.
template <typename T>
struct StepRow {
  T* gates;           // (G*H) in: W_i x, out: activated gates (forward); activated gates (backward)
  const T* hidden;    // (G*H) W_h h, forward only
  const T* bias_ih;   // (G*H)
  const T* bias_hh;   // (G*H)
  const T* h_before;  // (H)
  const T* c_before;  // (H) LSTM only
  T* extra;           // (H) GRU: m; LSTM: c'
  T* h;               // (H) out, forward only
};

template <typename T>
void GruForward(int64_t hidden_size, const StepRow<T>& row);
template <typename T>
void LstmForward(int64_t hidden_size, const StepRow<T>& row);

// In: dh, the gradient of h'. Out: dh, what flows to h_before not through W_h; delta_ih and delta_hh (G*H), the
// gradients of W_i x and W_h h (one vector for the LSTM: delta_hh is not written). dc is in and out, LSTM only.
template <typename T>
void GruBackward(int64_t hidden_size, const StepRow<T>& row, T* dh, T* delta_ih, T* delta_hh);
template <typename T>
void LstmBackward(int64_t hidden_size, const StepRow<T>& row, T* dh, T* dc, T* delta);

// sum[i] += tile[i]; returns the sum of squares of tile, accumulated in double by blocks.
double SquareAndAccumulate(int64_t size, const float* tile, float* sum);
double SquareAndAccumulate(int64_t size, const double* tile, double* sum);

}  // namespace lanthorn::kernels
