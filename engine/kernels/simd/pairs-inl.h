// Floats rounded to pairs of bfloat16 numbers (operands.h), per SIMD target.
#if defined(LANTHORN_KERNELS_PAIRS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANTHORN_KERNELS_PAIRS_INL_H_
#undef LANTHORN_KERNELS_PAIRS_INL_H_
#else
#define LANTHORN_KERNELS_PAIRS_INL_H_
#endif

#include <hwy/highway.h>

#include "engine/kernels/simd/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanthorn::kernels::HWY_NAMESPACE {

// To the nearest bfloat16, ties to even, in the upper half of each lane; NaN stays NaN.
HWY_INLINE hn::Vec<hn::RebindToUnsigned<D>> RoundedBits(V x) {
  const hn::RebindToUnsigned<D> du;
  const auto bits = hn::BitCast(du, x);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1u));
  const auto nearest = hn::Add(hn::Add(bits, hn::Set(du, 0x7fffu)), odd);
  const auto nan = hn::Or(bits, hn::Set(du, 0x400000u));
  const auto rounded = hn::IfThenElse(hn::RebindMask(du, hn::IsNaN(x)), nan, nearest);
  return hn::And(rounded, hn::Set(du, 0xffff0000u));
}

HWY_INLINE V PairOf(V first, V second) {
  const auto low = hn::ShiftRight<16>(RoundedBits(first));
  return hn::BitCast(D(), hn::Or(low, RoundedBits(second)));
}

// The pairs of `count` numbers, which are multiplied by `times` before if that is not null: (count + 1) / 2 places. The
// last has a zero behind an odd count.
HWY_INLINE void PairRow(const float* x, const float* times, int64_t count, float* to) {
  const D d;
  int64_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    V low = hn::LoadU(d, x + i), high = hn::LoadU(d, x + i + kLanes);
    if (times != nullptr) {
      low = hn::Mul(low, hn::LoadU(d, times + i));
      high = hn::Mul(high, hn::LoadU(d, times + i + kLanes));
    }
    hn::StoreU(PairOf(hn::ConcatEven(d, high, low), hn::ConcatOdd(d, high, low)), d, to + i / 2);
  }
#endif
  for (; i < count; i += 2) {
    const bool both = i + 1 < count;
    const float first = times != nullptr ? x[i] * times[i] : x[i];
    const float second = !both ? 0 : times != nullptr ? x[i + 1] * times[i + 1] : x[i + 1];
    StoreLanes(PairOf(hn::Set(d, first), hn::Set(d, second)), to + i / 2, 1);
  }
}

// The pairs of two rows of `count` numbers, column by column; without a second row zeros stand in its place.
HWY_INLINE void PairRows(const float* first, const float* second, int64_t count, float* to) {
  for (int64_t i = 0; i < count; i += kLanes) {
    const V low = LoadLanes(first + i, count - i);
    const V high = second != nullptr ? LoadLanes(second + i, count - i) : hn::Zero(D());
    StoreLanes(PairOf(low, high), to + i, count - i);
  }
}

}  // namespace lanthorn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
