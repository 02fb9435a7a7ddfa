// Whether a device computes at a plausible speed (guard G02).
#pragma once

#include <c10/core/Device.h>

#include "engine/base/status.h"

namespace lanthorn::device {

// FLOP per second of float32 products on `device`, as training uses it: on the CPU with the threads of now. Takes about
// 20 ms on a machine that reaches `enough`, and 200 ms at most on one that does not, so that a busy moment is not taken
// for a slow machine.
absl::StatusOr<double> TrainingGemmRate(c10::Device device, double enough);

}  // namespace lanthorn::device
