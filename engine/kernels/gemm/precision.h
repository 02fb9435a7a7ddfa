// The precision in which recurrent layers and transformer blocks multiply matrices; everything else, and every sum, is
// fp32, and in fp32_split blocks are. That goes for a small embedding read as a table too (recurrent_table.h): its
// products are few, and stay fp32.
//
//   fp32        plain
//   bf16        operands rounded to bfloat16 (8 bits of mantissa)
//   fp32_split  each operand as the sum of two bfloat16 numbers, of whose four products the smallest is left out:
//               about 2^-16, and as fast as three bf16 products (kernels/README.md)
//
// bf16 products of recurrent layers come from oneDNN and need a CPU that has them; for blocks see linear/pairs.h.
// Emulated, the operands are rounded the same way and multiplied in fp32: the same numbers up to the order of
// additions, on any CPU, without the gain in speed.
#pragma once

#include <string>

#include "engine/base/status.h"

namespace lanthorn::kernels {

struct Precision {
  enum Kind { kFp32, kFp32Split, kBf16 };
  Kind kind = kFp32;
  bool emulated = false;
};

// "fp32", "fp32_split" or "bf16"; others are an error that lists them and guesses which was meant.
absl::StatusOr<Precision::Kind> ParsePrecision(const std::string& name);
// The name that ParsePrecision reads.
const char* PrecisionName(Precision::Kind kind);
// Whether this CPU and this oneDNN multiply in that precision; the error says what is missing and what to use instead.
absl::Status CheckPrecision(const Precision& precision);

// Sets this thread's precision for the forward passes that begin while one lives; their backward passes keep it.
class PrecisionScope {
 public:
  explicit PrecisionScope(const Precision& precision);
  ~PrecisionScope();
  PrecisionScope(const PrecisionScope&) = delete;
  PrecisionScope& operator=(const PrecisionScope&) = delete;

 private:
  Precision before_;
};
const Precision& CurrentPrecision();

}  // namespace lanthorn::kernels
