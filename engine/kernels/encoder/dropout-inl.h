// Dropout's mask of a vector of columns, as dropout_bits.h defines it, per SIMD target.
#if defined(LANTHORN_KERNELS_DROPOUT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANTHORN_KERNELS_DROPOUT_INL_H_
#undef LANTHORN_KERNELS_DROPOUT_INL_H_
#else
#define LANTHORN_KERNELS_DROPOUT_INL_H_
#endif

#include <hwy/highway.h>

#include "engine/kernels/encoder/dropout_bits.h"
#include "engine/kernels/simd/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanthorn::kernels::HWY_NAMESPACE {

// The factors of the columns [column, column + kLanes): 0 or `scale`.
HWY_INLINE V DropoutFactors(const DropoutRow& row, int64_t column, int32_t limit, float scale) {
  const hn::RebindToUnsigned<D> du;
  const hn::RebindToSigned<D> di;
  const auto columns = hn::Add(FirstLanes(du), hn::Set(du, static_cast<uint32_t>(column)));
  auto x = hn::Add(hn::Mul(columns, hn::Set(du, 0x9e3779b9u)), hn::Set(du, row.first));
  x = hn::Add(hn::Mul(hn::Xor(x, hn::ShiftRight<16>(x)), hn::Set(du, 0x7feb352du)), hn::Set(du, row.second));
  x = hn::Mul(hn::Xor(x, hn::ShiftRight<15>(x)), hn::Set(du, 0x846ca68bu));
  const auto bits = hn::BitCast(di, hn::ShiftRight<8>(hn::Xor(x, hn::ShiftRight<16>(x))));
  const auto dropped = hn::RebindMask(D(), hn::Lt(bits, hn::Set(di, limit)));
  return hn::IfThenZeroElse(dropped, hn::Set(D(), scale));
}

}  // namespace lanthorn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
