#include "engine/data/epoch_order.h"

#include <c10/util/Exception.h>

#include <numeric>
#include <random>

namespace lanthorn::data {

std::vector<uint32_t> EpochOrder(int64_t rows, uint64_t seed, int64_t epoch) {
  TORCH_CHECK(rows < int64_t{1} << 32, "[data] 2^32 rows or more cannot be shuffled");
  std::vector<uint32_t> order(static_cast<size_t>(rows));
  std::iota(order.begin(), order.end(), uint32_t{0});
  const uint64_t number = static_cast<uint64_t>(epoch);
  std::seed_seq sequence{seed, seed >> 32, number, number >> 32};  // it keeps 32 bits of each
  std::mt19937_64 generator(sequence);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[generator() % i]);
  return order;
}

}  // namespace lanthorn::data
