// A cheap name for the values of many tensors, to see whether something changed them. Not for identity across machines:
// weights_hash is.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/nn/module.h"

namespace lanthorn::train {

// Of names and bits, in their order; a changed bit changes it.
uint64_t StateHash(const std::vector<nn::NamedParameter>& tensors, uint64_t seed = 0);

}  // namespace lanthorn::train
