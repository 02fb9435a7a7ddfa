// What the guards inside the loop do and where their limits are (guards/README.md): the sections `guards` and `train`
// of a config.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace lanthorn::train {

enum class GuardLevel { kOff, kWarn, kError };

struct GuardOptions {
  // G23. Updates in a row that may be skipped because something in them is not finite; 0: the first one stops.
  int64_t nonfinite_skip = 0;
  // A loss above this many times the first one stops, once warm-up is over; 0: never.
  double spike_ratio = 3;
  // A gradient norm above this many times its running median warns; 0: never. Norms of healthy trainings stay within
  // a few times their median, text models with rare long contexts within about ten.
  double grad_norm_ratio = 20;
  double clip_norm = 0;  // optim.clip_norm, which the warning's advice depends on
  // On G23: go on from the newest checkpoint, with every base learning rate times `rollback_factor`, at most
  // `rollback_tries` times in the life of the run.
  bool rollback = false;
  double rollback_factor = 0.5;
  int64_t rollback_tries = 3;
  std::vector<std::string> allow_dead = {};         // G30: names of parameters that may stay without gradient
  GuardLevel skipped_updates = GuardLevel::kError;  // G36
  GuardLevel no_learning = GuardLevel::kError;      // G37
  std::optional<double> uniform_loss = {};          // ln V, what guessing costs; without it G37 does not look
  GuardLevel protect = GuardLevel::kError;          // G43
  GuardLevel memory_floor = GuardLevel::kError;     // G04
  GuardLevel memory_growth = GuardLevel::kError;    // G31
  // G31 stops a training that would need more than this by its end; 0: the cap of tensor memory, for tensors, and the
  // machine's memory, for the process.
  int64_t memory_limit = 0;                  // bytes
  GuardLevel slow_step = GuardLevel::kWarn;  // G16
  // Bytes of tensors on the device at their peak; absent: the counting allocator's, where it is in place.
  std::function<int64_t()> peak_bytes = {};
};

}  // namespace lanthorn::train
