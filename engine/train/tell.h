// Calling the observers of a training.
#pragma once

#include <memory>
#include <vector>

#include "engine/train/report/phase_clock.h"

namespace lanthorn::train {

// Calls each observer, in their order; the time goes to its phase. Stops at the first error.
template <typename Call>
absl::Status Tell(const std::vector<std::shared_ptr<Observer>>& observers, PhaseSeconds* phases, const Call& call) {
  for (const auto& observer : observers) {
    const PhaseClock clock(phases, observer->phase());
    LANTHORN_RETURN_IF_ERROR(call(*observer));
  }
  return absl::OkStatus();
}

}  // namespace lanthorn::train
