#include "engine/kernels/gemm/low_product.h"

#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "engine/kernels/gemm/gemm.h"
#include "engine/kernels/gemm/matmul_primitive.h"

namespace lanthorn::kernels {
namespace {

uint32_t Bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
float FromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// To the nearest bfloat16, ties to even; NaN stays NaN.
uint16_t Round(float value) {
  const uint32_t bits = Bits(value);
  const uint32_t nearest = bits + 0x7fffu + ((bits >> 16) & 1u), nan = bits | 0x400000u;
  return static_cast<uint16_t>(((bits & 0x7fffffffu) > 0x7f800000u ? nan : nearest) >> 16);
}
float Widen(uint16_t value) { return FromBits(static_cast<uint32_t>(value) << 16); }

void Put(float value, uint16_t* to) { *to = Round(value); }
void Put(float value, float* to) { *to = Widen(Round(value)); }

// What a low product multiplies. A split operand x = hi + lo is laid out along k so that one product of three times the
// length adds hi hi + hi lo + lo hi: A as [hi, hi, lo], B as [hi, lo, hi].
int64_t Terms(const Precision& precision) { return precision.kind == Precision::kFp32Split ? 3 : 1; }

// part: which of the terms is written.
template <typename Stored>
void PutTerm(float value, int64_t terms, int64_t part, bool left, Stored* to) {
  const bool low = terms == 3 && part == (left ? 2 : 1);
  Put(low ? value - Widen(Round(value)) : value, to);
}

}  // namespace

class LowProduct::Impl {
 public:
  Impl(const Precision& precision, bool transpose_b, int64_t n, int64_t k, const float* b, int64_t ldb)
      : emulated_(precision.emulated), terms_(Terms(precision)), n_(n), k_(k) {
    emulated_ ? Fill(transpose_b, b, ldb, &wide_) : Fill(transpose_b, b, ldb, &narrow_);
  }

  void Run(int64_t m, const float* a, int64_t row, int64_t step, float* c, int64_t ldc) const {
    const int64_t length = terms_ * k_;
    if (emulated_) {
      const std::vector<float> left = Left<float>(m, a, row, step);
      Gemm({left.data(), length}, {wide_.data(), n_}, {m, n_, length}, 0.0f, c, ldc);
    } else {
      const std::vector<uint16_t> left = Left<uint16_t>(m, a, row, step);
      Primitive(m, ldc).Run(left.data(), c);
    }
  }

 private:
  // (terms * k, n)
  template <typename Stored>
  void Fill(bool transpose_b, const float* b, int64_t ldb, std::vector<Stored>* to) {
    to->resize(static_cast<size_t>(terms_ * k_ * n_));
    for (int64_t part = 0; part < terms_; ++part) {
      for (int64_t i = 0; i < k_; ++i) {
        for (int64_t j = 0; j < n_; ++j) {
          const float value = transpose_b ? b[j * ldb + i] : b[i * ldb + j];
          PutTerm(value, terms_, part, /*left=*/false, to->data() + (part * k_ + i) * n_ + j);
        }
      }
    }
  }

  // (m, terms * k)
  template <typename Stored>
  std::vector<Stored> Left(int64_t m, const float* a, int64_t row, int64_t step) const {
    std::vector<Stored> left(static_cast<size_t>(m * terms_ * k_));
    Stored* to = left.data();
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t part = 0; part < terms_; ++part) {
        for (int64_t j = 0; j < k_; ++j) PutTerm(a[i * row + j * step], terms_, part, /*left=*/true, to++);
      }
    }
    return left;
  }

  const MatmulPrimitive& Primitive(int64_t m, int64_t ldc) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::unique_ptr<MatmulPrimitive>& primitive = primitives_[{m, ldc}];
    if (primitive == nullptr)
      primitive =
          std::make_unique<MatmulPrimitive>(MatmulPrimitive::Type::bf16, m, n_, terms_ * k_, narrow_.data(), ldc);
    return *primitive;
  }

  bool emulated_;
  int64_t terms_, n_, k_;
  std::vector<float> wide_;       // emulated
  std::vector<uint16_t> narrow_;  // bfloat16
  mutable std::mutex mutex_;
  mutable std::map<std::pair<int64_t, int64_t>, std::unique_ptr<MatmulPrimitive>> primitives_;  // by m, ldc
};

LowProduct::LowProduct(const Precision& precision, bool transpose_b, int64_t n, int64_t k, const float* b, int64_t ldb)
    : impl_(std::make_unique<Impl>(precision, transpose_b, n, k, b, ldb)) {}
LowProduct::~LowProduct() = default;

void LowProduct::Run(int64_t m, const float* a, int64_t row, int64_t step, float* c, int64_t ldc) const {
  if (m > 0) impl_->Run(m, a, row, step, c, ldc);
}

}  // namespace lanthorn::kernels
