// Memory: whether a training takes at least what its tensors must take (guard G04), and whether it takes more with
// every update (G31).
#pragma once

#include <array>
#include <deque>
#include <optional>

#include "engine/nn/module.h"
#include "engine/optim/optimizer.h"
#include "engine/train/report/records.h"

namespace lanthorn::train {

// Bytes of all weights, gradients and optimiser slots, which exist at once after an update.
int64_t MemoryFloor(const std::vector<nn::NamedParameter>& parameters, const optim::Optimizer& optimizer);
// A value when the peak is below the floor: the training is not where the counter looks.
std::optional<Warning> BelowMemoryFloor(int64_t step, int64_t peak, int64_t floor);

// Judged by the least memory in each block of 50 updates, since what waits for the garbage collector is not growth.
class MemoryGrowth {
 public:
  static constexpr int64_t kBlock = 50, kSampleEvery = 10;
  static constexpr double kSlope = 1e6;  // bytes an update

  // A kind of memory with its limit in bytes.
  struct Sample {
    const char* name;
    int64_t bytes, limit;
  };
  struct Finding {
    Warning warning;
    bool fatal = false;  // it will not reach the end of the plan
  };
  // Samples of tensors and of the process at update `step`, with `remaining` updates to go. A value when each of the
  // last three blocks, of those after update 50, needs at least 1 MB an update more than the one before; again only
  // after twice as many updates, unless it becomes fatal.
  std::optional<Finding> Add(int64_t step, int64_t remaining, const std::array<Sample, 2>& samples);

 private:
  std::array<std::deque<int64_t>, 2> blocks_;
  std::array<int64_t, 2> least_{};
  int64_t seen_ = 0, quiet_until_ = 0;
};

}  // namespace lanthorn::train
