// What a sleep does (sleep.h). Needs no LibTorch: the runner has it too.
#pragma once

#include <cstdint>

#include "engine/base/options/option_row.h"

namespace lanthorn::train {

struct SleepOptions {
  double prune = 0.1, decay = 0.995, noise = 0.001;
  int64_t seed = 0;
};

template <typename Visit>
void Fields(Visit&& visit, SleepOptions& sleep) {
  visit({"prune", "weights up to so many standard deviations of their tensor become 0; 0: none", 0}, sleep.prune);
  visit({"decay", "then all are multiplied by it; 1: not at all", 0}, sleep.decay);
  visit({"noise", "then noise of this standard deviation is added; 0: none", 0}, sleep.noise);
  visit({"seed", "of the noise: a stream of its own"}, sleep.seed);
}

}  // namespace lanthorn::train
