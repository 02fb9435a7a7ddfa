// Learning-rate schedules: a factor on every group's base rate as a pure function of the step.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/options/option_row.h"
#include "engine/base/status.h"

namespace lanthorn::optim {

struct Schedule {
  std::string name = "constant";  // constant, step, cosine, linear
  int64_t warmup = 0;             // updates over which the factor rises linearly from 1/warmup to 1
  int64_t hold = 0;               // updates, warm-up included, before cosine and linear begin to fall
  int64_t total = 0;              // updates in all (cosine and linear reach their minimum there)
  int64_t every = 0;              // step: updates between two multiplications by gamma
  double gamma = 0.1;
  double min_factor = 0;  // cosine and linear end here

  // What is wrong with these values, or OK.
  absl::Status Validate() const;
  // The factor for the update with this 0-based number.
  double Factor(int64_t step) const;
};

// The section `optim` of a config, as far as it is about the schedule; its end is computed.
template <typename Visit>
void Fields(Visit&& visit, Schedule& schedule) {
  visit({"schedule", "how the learning rate goes on after the warm-up", {}, {"constant", "step", "cosine", "linear"}},
        schedule.name);
  visit({"warmup", "updates over which the rate rises from near 0"}, schedule.warmup);
  visit({"hold", "updates, warm-up included, before cosine and linear begin to fall", 0}, schedule.hold);
  visit({"decay_every", "updates between two steps of the step schedule"}, schedule.every);
  visit({"gamma", "factor of each step of the step schedule"}, schedule.gamma);
  visit({"min_factor", "cosine and linear end at this share of the rate"}, schedule.min_factor);
}

}  // namespace lanthorn::optim
