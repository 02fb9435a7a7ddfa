// Compiled once per SIMD target by Highway's foreach_target.

#include "engine/kernels/linear/pairs_kernel.h"

#include "engine/kernels/simd/scratch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/linear/pairs_kernel.cc"
// foreach_target.h must come before highway.h.
// clang-format off
#include "engine/kernels/simd/simd_targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "engine/kernels/simd/pairs-inl.h"
#include "engine/kernels/simd/tile-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace lanthorn::kernels::HWY_NAMESPACE {

void PairAlongInImpl(const float* weight, int64_t in, int64_t begin, int64_t end, float* pairs) {
  const int64_t places = PlacesOf(Operands::kPairs, in);
  for (int64_t row = begin; row < end; ++row) PairRow(weight + row * in, nullptr, in, pairs + row * places);
}

void PairAlongOutImpl(const float* weight, int64_t out, int64_t in, int64_t begin, int64_t end, float* pairs) {
  const int64_t places = PlacesOf(Operands::kPairs, out);
  for (int64_t row = begin; row < end; ++row) {
    const int64_t part = row / places, first = row % places * 2;
    const float* from = weight + (part * out + first) * in;
    PairRows(from, first + 1 < out ? from + in : nullptr, in, pairs + row * in);
  }
}

template <Operands kKind>
void Run(int64_t times) {
  const Scratch a = Zeros(kTileRows * kTilePlaces), b = Zeros(kTilePlaces * kPanel), c = Zeros(kTileRows * kPanel);
  for (int64_t i = 0; i < times; ++i) {
    Tile<kTileRows> tile;
    Load(c.get(), kPanel, tile);
    Multiply<kTileRows, kKind>({a.get(), kTilePlaces, 1, kTilePlaces}, b.get(), tile);
    Store(tile, c.get(), kPanel);
  }
}

void RunTilesImpl(Operands operands, int64_t times) {
  if (operands == Operands::kFloats) return Run<Operands::kFloats>(times);
  operands == Operands::kPairs ? Run<Operands::kPairs>(times) : Run<Operands::kNativePairs>(times);
}

}  // namespace lanthorn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lanthorn::kernels {
HWY_EXPORT(PairAlongInImpl);
HWY_EXPORT(PairAlongOutImpl);
HWY_EXPORT(RunTilesImpl);

void PairAlongIn(const float* weight, int64_t in, int64_t begin, int64_t end, float* pairs) {
  HWY_DYNAMIC_DISPATCH(PairAlongInImpl)(weight, in, begin, end, pairs);
}
void PairAlongOut(const float* weight, int64_t out, int64_t in, int64_t begin, int64_t end, float* pairs) {
  HWY_DYNAMIC_DISPATCH(PairAlongOutImpl)(weight, out, in, begin, end, pairs);
}
void RunTiles(Operands operands, int64_t times) { HWY_DYNAMIC_DISPATCH(RunTilesImpl)(operands, times); }
}  // namespace lanthorn::kernels
#endif  // HWY_ONCE
