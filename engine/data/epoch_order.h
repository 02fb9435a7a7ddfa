// An order of rows that is an epoch's own.
#pragma once

#include <cstdint>
#include <vector>

namespace lanthorn::data {

// The numbers 0 to rows - 1, below 2^32, shuffled: a function of seed and epoch, the same on every machine and library.
std::vector<uint32_t> EpochOrder(int64_t rows, uint64_t seed, int64_t epoch);

}  // namespace lanthorn::data
