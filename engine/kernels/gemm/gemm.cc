#include "engine/kernels/gemm/gemm.h"

#include <dnnl.h>

#include "engine/base/status.h"

// OpenBLAS is linked directly (see CMakeLists.txt); its CBLAS header is not in the package that holds the OpenMP build.
extern "C" void cblas_dgemm(int order, int transpose_a, int transpose_b, int m, int n, int k, double alpha,
                            const double* a, int lda, const double* b, int ldb, double beta, double* c, int ldc);

namespace lanthorn::kernels {
namespace {
constexpr int kRowMajor = 101, kNoTranspose = 111, kTranspose = 112;
}

void Gemm(const Factor<float>& a, const Factor<float>& b, const ProductSize& size, float beta, float* c,
          int64_t stride) {
  if (size.m == 0 || size.n == 0) return;
  const dnnl_status_t status = dnnl_sgemm(a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N', size.m, size.n, size.k,
                                          1.0f, a.values, a.stride, b.values, b.stride, beta, c, stride);
  LANTHORN_CHECK(status == dnnl_success);
}

void Gemm(const Factor<double>& a, const Factor<double>& b, const ProductSize& size, double beta, double* c,
          int64_t stride) {
  if (size.m == 0 || size.n == 0) return;
  cblas_dgemm(kRowMajor, a.transposed ? kTranspose : kNoTranspose, b.transposed ? kTranspose : kNoTranspose,
              static_cast<int>(size.m), static_cast<int>(size.n), static_cast<int>(size.k), 1.0, a.values,
              static_cast<int>(a.stride), b.values, static_cast<int>(b.stride), beta, c, static_cast<int>(stride));
}

}  // namespace lanthorn::kernels
