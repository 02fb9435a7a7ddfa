// The sweeps behind pairs.h over raw memory, compiled per SIMD target.
#pragma once

#include <cstdint>

#include "engine/kernels/simd/operands.h"

namespace lanthorn::kernels {

// The rows [begin, end) of (rows, in) as (rows, places of in).
void PairAlongIn(const float* weight, int64_t in, int64_t begin, int64_t end, float* pairs);
// The rows [begin, end) of (parts * places of out, in).
void PairAlongOut(const float* weight, int64_t out, int64_t in, int64_t begin, int64_t end, float* pairs);
// Runs `times` products of a tile with a panel of `kTilePlaces` places in L1.
inline constexpr int64_t kTilePlaces = 128;
void RunTiles(Operands operands, int64_t times);

}  // namespace lanthorn::kernels
