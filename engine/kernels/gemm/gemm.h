// Single-precision and double-precision matrix products on row-major memory.
#pragma once

#include <cstdint>

namespace lanthorn::kernels {

// C (m, n) = op(A) op(B) + beta C, where op(A) is (m, k) and op(B) is (k, n); row-major with leading dimensions lda,
// ldb, ldc. Inside an OpenMP parallel region each calling thread does its own product alone. float runs in oneDNN,
// double in BLAS.
void Gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const float* a, int64_t lda,
          const float* b, int64_t ldb, float beta, float* c, int64_t ldc);
void Gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const double* a, int64_t lda,
          const double* b, int64_t ldb, double beta, double* c, int64_t ldc);

}  // namespace lanthorn::kernels
