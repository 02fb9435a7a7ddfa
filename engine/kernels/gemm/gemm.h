// Single-precision and double-precision matrix products on row-major memory.
#pragma once

#include <cstdint>

namespace lanthorn::kernels {

// A factor in row-major memory, its rows `stride` elements apart; transposed: its transpose is multiplied.
template <typename T>
struct Factor {
  const T* values;
  int64_t stride;
  bool transposed = false;
};
inline constexpr bool kTransposed = true;

struct ProductSize {
  int64_t m, n, k;
};

// C (m, n) = A (m, k) B (k, n) + beta C, with the rows of C `stride` apart. Inside an OpenMP parallel region each
// calling thread does its own product alone. float runs in oneDNN, double in BLAS.
void Gemm(const Factor<float>& a, const Factor<float>& b, const ProductSize& size, float beta, float* c,
          int64_t stride);
void Gemm(const Factor<double>& a, const Factor<double>& b, const ProductSize& size, double beta, double* c,
          int64_t stride);

}  // namespace lanthorn::kernels
