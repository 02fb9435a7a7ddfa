// How fast this machine is: rates that every other time is compared with, measured in a fraction of a second each.
#pragma once

#include <cstdint>

#include "engine/base/status.h"

namespace lanthorn::device {

enum class GemmLibrary { kOneDnn, kLibTorch };  // dnnl_sgemm, at::mm
enum class GemmType { kFloat, kBFloat16 };

// Size of a matrix product: (rows, inner) x (inner, columns).
struct GemmShape {
  int64_t rows = 0, inner = 0, columns = 0;
};
inline constexpr GemmShape kProbeShape = {6400, 256, 768};  // a recurrent layer's projection of 64 rows of 100

// The best rate in FLOP per second of products repeated for about `seconds`, on `threads` threads; the thread count is
// put back. kOneDnn has float only: anything else is a usage error, as are sizes, threads or seconds below 1, 1 and 0.
absl::StatusOr<double> GemmRate(GemmLibrary library, GemmType type, const GemmShape& shape, int threads,
                                double seconds);

// Bytes per second through memory, each array larger than the last-level cache (capped at 512 MiB and at an eighth of
// what is free): best of repetitions for about `seconds` each.
struct Bandwidth {
  double copy = 0;           // b = a: two arrays touched
  double triad = 0;          // a = b + s c: three arrays touched
  int64_t buffer_bytes = 0;  // of one array
  int64_t cache_bytes = 0;   // of the last-level cache; 0 when the system does not tell
};
absl::StatusOr<Bandwidth> MemoryBandwidth(int threads, double seconds);

}  // namespace lanthorn::device
