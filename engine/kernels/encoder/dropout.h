// Dropout whose mask follows from a seed (dropout_bits.h).
#pragma once

#include <ATen/core/Tensor.h>

namespace lanthorn::kernels {

// A seed for one forward: from the CPU's default generator, so that a run repeats and a checkpoint holds its place.
int64_t DrawDropoutSeed();

// x times its mask: 0 with `probability` (in [0, 1)), else 1 / (1 - probability). The last dimension of x is the
// column, all before it count the rows. On other devices than the CPU the device's own generator draws the mask.
at::Tensor SeededDropout(const at::Tensor& x, double probability, int64_t seed);

// The mask alone, (rows, columns), on the CPU.
at::Tensor DropoutMask(int64_t rows, int64_t columns, double probability, int64_t seed, c10::ScalarType dtype);

}  // namespace lanthorn::kernels
