#include "engine/kernels/linear/pairs.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <chrono>

#include "absl/strings/str_format.h"
#include "engine/kernels/linear/pairs_kernel.h"
#include "engine/kernels/simd/for_threads.h"

namespace lanthorn::kernels {
namespace {

constexpr double kLeastGain = 1.1;  // below it, what surrounds the products eats the gain

// The best of some short runs, in seconds: others may disturb, nothing makes it faster than it is.
double TileSeconds(Operands operands) {
  using Clock = std::chrono::steady_clock;
  double best = 1e9;
  for (int run = 0; run < 15; ++run) {
    const auto start = Clock::now();
    RunTiles(operands, 1000);
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

}  // namespace

Operands OperandsOf(const Precision& precision) {
  if (precision.kind != Precision::kBf16) return Operands::kFloats;
  return precision.emulated || !HasNativePairs() ? Operands::kPairs : Operands::kNativePairs;
}

at::Tensor PairsAlongIn(const at::Tensor& weight, int64_t rows, int64_t in) {
  const at::Tensor pairs = at::empty({rows, PlacesOf(Operands::kPairs, in)}, weight.options());
  ForThreads(rows, [&](int64_t begin, int64_t end) {
    PairAlongIn(weight.data_ptr<float>(), in, begin, end, pairs.data_ptr<float>());
  });
  return pairs;
}

at::Tensor PairsAlongOut(const at::Tensor& weight, int64_t parts, int64_t out, int64_t in) {
  const int64_t rows = parts * PlacesOf(Operands::kPairs, out);
  const at::Tensor pairs = at::empty({rows, in}, weight.options());
  ForThreads(rows, [&](int64_t begin, int64_t end) {
    PairAlongOut(weight.data_ptr<float>(), out, in, begin, end, pairs.data_ptr<float>());
  });
  return pairs;
}

bool HasNativePairs() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}

double PairGain() {
  // A place holds two numbers.
  static const double gain = 2 * TileSeconds(Operands::kFloats) / TileSeconds(Operands::kNativePairs);
  return gain;
}

absl::Status CheckPairs() {
  constexpr const char* kInstead =
      "use precision='fp32', or train.emulate=true for the same rounding without the speed";
  if (!HasNativePairs())
    return MachineError(absl::StrFormat(
        "precision 'bf16' of transformer blocks needs a CPU with AVX512_BF16, which this one lacks; %s", kInstead));
  if (PairGain() >= kLeastGain) return absl::OkStatus();
  return MachineError(
      absl::StrFormat("precision 'bf16' would not be faster: this CPU's bf16 products were measured at %.2f times the "
                      "speed of fp32 ones "
                      "(at least %.1f is needed, for rounding to bf16 takes time too); %s",
                      PairGain(), kLeastGain, kInstead));
}

}  // namespace lanthorn::kernels
