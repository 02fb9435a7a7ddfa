// The random numbers of dropout: a hash of (seed, row, column), so that a backward makes the forward's mask again
// instead of keeping it, and any share of the work makes the same one.
//
// A row's key is two rounds of splitmix64 (Steele, Lea and Flood 2014); a column's number is the 32-bit mixer
// "lowbias32" (Wellons 2018) with half of the key before and half inside of it.
#pragma once

#include <cstdint>

namespace lanthorn::kernels {

struct DropoutRow {
  uint32_t first, second;
};

inline uint64_t SplitMix(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

inline DropoutRow DropoutRowOf(int64_t seed, int64_t row) {
  const uint64_t key = SplitMix(SplitMix(static_cast<uint64_t>(seed)) + static_cast<uint64_t>(row));
  return {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)};
}

// 24 random bits of a column.
inline int32_t DropoutBits(const DropoutRow& row, int64_t column) {
  uint32_t x = static_cast<uint32_t>(column) * 0x9e3779b9u + row.first;
  x = (x ^ (x >> 16)) * 0x7feb352du + row.second;
  x = (x ^ (x >> 15)) * 0x846ca68bu;
  return static_cast<int32_t>((x ^ (x >> 16)) >> 8);
}

// An element is dropped when its bits are below this.
inline int32_t DropoutLimit(double probability) { return static_cast<int32_t>(probability * 16777216.0); }
inline float DropoutScale(double probability) { return static_cast<float>(1 / (1 - probability)); }

}  // namespace lanthorn::kernels
