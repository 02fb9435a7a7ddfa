// What must hold before a model trains with activation checkpointing.
#pragma once

#include "engine/base/status.h"
#include "engine/nn/module.h"

namespace lanthorn::train {

// train.recompute is a config error for a model in which nothing heeds it.
absl::Status CheckRecompute(const nn::Module& model);

}  // namespace lanthorn::train
