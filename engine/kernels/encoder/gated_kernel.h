// The sweeps of a SwiGLU block's gate (gated.h) over raw memory, compiled per SIMD target: no autograd, no threads.
#pragma once

#include <cstdint>

namespace lanthorn::kernels {

struct GatedLayout {
  int64_t rows, width;  // of hidden
  double dropout;
  int64_t seed;       // of the dropout (SeededDropout of hidden)
  int64_t first_row;  // the number that dropout gives to row 0
};

// wide (rows, 2 width), hidden (rows, width).
void GatedForward(const GatedLayout& layout, const float* wide, float* hidden);
// grad_wide (rows, 2 width) from grad_hidden (rows, width).
void GatedBackward(const GatedLayout& layout, const float* wide, const float* grad_hidden, float* grad_wide);

}  // namespace lanthorn::kernels
