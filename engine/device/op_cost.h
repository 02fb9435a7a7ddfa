// What small LibTorch operators cost when C++ calls them: the floor under the same calls from Lua.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lanthorn::device {

struct OpCost {
  std::string name;    // "add", "add_number", "add_", ...; see op_cost.cc for the expression
  double seconds = 0;  // of one call, its result freed again
};

// Seconds per call of a fixed list of operators on float32 (4, 4) tensors without gradients, each called `calls` times
// (at least 1) in a plain loop.
std::vector<OpCost> NativeOpCosts(int64_t calls);

}  // namespace lanthorn::device
