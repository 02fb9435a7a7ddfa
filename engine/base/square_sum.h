// Squared norms of many tensors in one pass.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace lanthorn {

// || t ||^2 of each tensor, squared and accumulated in float64; an undefined tensor counts as 0. NaN and infinity come
// out as NaN or infinity. Contiguous float32 tensors on the CPU are read in one parallel pass whose sums are added in a
// fixed order: on one machine the bits do not depend on the number of threads. All others go through
// SquareSumReference.
std::vector<double> SquareSums(const std::vector<at::Tensor>& tensors);
// The sum of SquareSums in the order of the tensors.
double SquareSum(const std::vector<at::Tensor>& tensors);

// || t ||^2 in float64 from plain operators, for any dtype, device and layout; the oracle of the above.
double SquareSumReference(const at::Tensor& tensor);

}  // namespace lanthorn
