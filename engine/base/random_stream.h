// Random numbers as a function of a key, such as (seed, epoch, batch): nothing has to be kept to draw them again.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <random>
#include <vector>

namespace lanthorn {

// Streams of different keys have nothing to do with each other.
inline std::mt19937_64 RandomStream(std::initializer_list<uint64_t> key) {
  std::vector<uint64_t> halves;  // a seed_seq keeps 32 bits of each
  for (const uint64_t part : key) halves.insert(halves.end(), {part, part >> 32});
  std::seed_seq sequence(halves.begin(), halves.end());
  return std::mt19937_64(sequence);
}

}  // namespace lanthorn
