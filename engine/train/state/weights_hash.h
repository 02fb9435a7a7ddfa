// One name for the values of a model's parameters: what two runs that began alike have in common (guard G08).
#pragma once

#include <string>
#include <vector>

#include "engine/nn/module.h"

namespace lanthorn::train {

// "sha256:..." over names, types, shapes and values. Of a parameter above 4 MiB the first and the last 2 MiB count, so
// that a large model takes no time.
std::string WeightsHash(const std::vector<nn::NamedParameter>& parameters);

}  // namespace lanthorn::train
