// Products of fp32 matrices from bfloat16 operands.
#pragma once

#include <cstdint>
#include <memory>

#include "engine/kernels/gemm/precision.h"

namespace lanthorn::kernels {

// C (m, n) = A (m, k) op(B), fp32 in and out; B is rounded and packed once. Thread-safe; inside an OpenMP parallel
// region each thread does its own product alone.
class LowProduct {
 public:
  // op(B) is (k, n): B itself with leading dimension ldb, or its transpose.
  LowProduct(const Precision& precision, bool transpose_b, int64_t n, int64_t k, const float* b, int64_t ldb);
  ~LowProduct();
  LowProduct(const LowProduct&) = delete;
  LowProduct& operator=(const LowProduct&) = delete;

  // A's element (i, j) is at a[i * row + j * step].
  void Run(int64_t m, const float* a, int64_t row, int64_t step, float* c, int64_t ldc) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lanthorn::kernels
