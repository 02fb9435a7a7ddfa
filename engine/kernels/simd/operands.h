// How the register tile reads the operands of a product.
#pragma once

#include <cstdint>
#include <type_traits>

namespace lanthorn::kernels {

// kPairs: two bfloat16 numbers that follow each other along the summed dimension, in the place of one float, the first
// in the lower half; multiplied exactly and added up in fp32. kNativePairs: the same by the CPU's own instruction,
// which rounds sums of two products (AVX512_BF16); the plain way on a SIMD target without it.
enum class Operands { kFloats, kPairs, kNativePairs };

// Places of floats that `length` numbers along the summed dimension take.
inline int64_t PlacesOf(Operands operands, int64_t length) {
  return operands == Operands::kFloats ? length : (length + 1) / 2;
}

// body(std::integral_constant<Operands, operands>())
template <class Body>
void WithOperands(Operands operands, const Body& body) {
  switch (operands) {
    case Operands::kPairs:
      return body(std::integral_constant<Operands, Operands::kPairs>());
    case Operands::kNativePairs:
      return body(std::integral_constant<Operands, Operands::kNativePairs>());
    default:
      return body(std::integral_constant<Operands, Operands::kFloats>());
  }
}

}  // namespace lanthorn::kernels
