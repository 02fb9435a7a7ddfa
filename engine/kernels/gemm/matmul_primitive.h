// One oneDNN matrix product of fixed sizes whose right operand is packed the way oneDNN likes it best.
#pragma once

#include <cstdint>
#include <dnnl.hpp>

namespace lanthorn::kernels {

class MatmulPrimitive {
 public:
  using Type = dnnl::memory::data_type;

  // Whether oneDNN multiplies operands of this type into fp32 on this CPU.
  static bool Supported(Type operands);

  // C (m, n) fp32 with leading dimension ldc = A (m, k) B (k, n); A and B are dense, row by row, of type `operands`.
  // Throws dnnl::error for types that are not supported.
  MatmulPrimitive(Type operands, int64_t m, int64_t n, int64_t k, const void* b, int64_t ldc);

  // Thread-safe: scratch memory belongs to the call.
  void Run(const void* a, float* c) const;

 private:
  dnnl::memory::desc a_, c_, scratch_;
  dnnl::memory b_;
  dnnl::matmul product_;
};

}  // namespace lanthorn::kernels
