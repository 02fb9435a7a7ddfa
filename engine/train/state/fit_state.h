// Where a training stands: all that the loop has counted and averaged so far, as a value that a checkpoint holds.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "engine/base/status.h"
#include "engine/train/report/records.h"

namespace lanthorn::train {

// Sums over the updates of the epoch that is under way.
struct EpochSums {
  double loss_sum = 0, seconds = 0;      // of the losses of all targets
  int64_t loss_targets = 0, tokens = 0;  // targets in loss_sum: those of finite losses, of skipped updates too
  int64_t samples = 0;                   // of updates that were made
  int64_t empty = 0;                     // batches without any target
  tscore::Statistics tscore;
  tscore::NoiseStatistics noise;
};

struct FitState {
  int64_t steps = 0, tokens = 0, samples = 0;
  // The batch that comes next: the epoch (1-based) and its 0-based number in it, which is the number of batches when
  // only the end of the epoch is left to do.
  int64_t epoch = 1, batch = 0;
  int64_t tokens_forward = 0;         // targets of all forwards of updates
  int64_t skipped = 0;                // updates that were skipped
  int64_t empty = 0;                  // batches without any target, which no update learnt from
  std::optional<double> first_loss;   // of the first update
  std::vector<double> domain_losses;  // of the first update on each domain; 0 for one that was not met
  int64_t rollbacks = 0;              // so far, and what they have multiplied every base learning rate by
  double lr_factor = 1;
  double seconds = 0;       // of training in earlier attempts
  double eval_seconds = 0;  // of the last eval
  EpochSums sums;
  tscore::Statistics tscore;
  tscore::NoiseStatistics noise;
  std::vector<EpochRecord> epochs;
  std::optional<EpochRecord> best;
};

// Numbers come back bit for bit. WeightsError names the field that is missing or of another type.
nlohmann::json ToJson(const FitState& state);
absl::StatusOr<FitState> FitStateFromJson(const nlohmann::json& json);

}  // namespace lanthorn::train
