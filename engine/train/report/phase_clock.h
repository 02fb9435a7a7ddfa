// Adds the time of its life to a phase.
#pragma once

#include "engine/train/report/records.h"

namespace lanthorn::train {

class PhaseClock {
 public:
  PhaseClock(PhaseSeconds* phases, Phase phase) : seconds_(&SecondsOf(*phases, phase)), begin_(Now()) {}
  ~PhaseClock() { *seconds_ += Now() - begin_; }
  PhaseClock(const PhaseClock&) = delete;
  PhaseClock& operator=(const PhaseClock&) = delete;

 private:
  double* seconds_;
  double begin_;
};

}  // namespace lanthorn::train
