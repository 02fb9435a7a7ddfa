// "Sleep" of a network as GodelAI published it: small weights are pruned, the others shrunk and shaken.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/nn/module.h"
#include "engine/train/continual/sleep_options.h"

namespace lanthorn::train {

struct SleepReport {
  int64_t weights = 0, pruned = 0;         // elements that sleep reaches, and those that it set to 0
  double norm_before = 0, norm_after = 0;  // of all parameters
};

// Changes every trainable parameter whose name says "weight", embeddings and gains of norms among them; never a bias.
// A tensor of one element has no standard deviation, and is not pruned. The same seed gives the same noise.
SleepReport Sleep(const std::vector<nn::NamedParameter>& parameters, const SleepOptions& options);

}  // namespace lanthorn::train
