// What a batch holds against what was asked for (guard G21): a collation that drops items or masks all targets is
// seen before the first update.
#pragma once

#include "engine/data/batches.h"

namespace lanthorn::data {

// A target that the loss leaves out: kernels::kIgnoredTarget, which this layer does not see.
inline constexpr int64_t kMaskedTarget = -100;

struct BatchShape {
  int64_t items = 0, asked = 0;  // samples
  int64_t longest = 0,
          width = 0;    // of targets (B, T): positions of the longest sample before its padding, and T; else 0
  int64_t targets = 0;  // elements of y
  int64_t masked = 0;   // of them, those that the loss leaves out
  int64_t padding = 0;  // masked targets at the end of a sample
};

BatchShape ShapeOf(const Batch& batch, int64_t asked);

// DataError "G21 batch_shape: ..." for fewer items than asked, and for a batch without a target.
absl::Status CheckBatchShape(const BatchShape& shape);

}  // namespace lanthorn::data
