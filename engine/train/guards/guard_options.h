// What the guards inside the loop do and where their limits are (guards/README.md): the sections `guards` and `train`
// of a config.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/options/option_row.h"

namespace lanthorn::train {

enum class GuardLevel { kOff, kWarn, kError };

// "off", "warn" or "error"; false for another text.
inline bool FromText(const std::string& text, GuardLevel* level) {
  if (text != "off" && text != "warn" && text != "error") return false;
  *level = text == "off" ? GuardLevel::kOff : text == "warn" ? GuardLevel::kWarn : GuardLevel::kError;
  return true;
}

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
  std::vector<std::string> allow_dead = {};  // G30: names of parameters that may stay without gradient
  double uniform_loss = 0;                   // ln V, what guessing costs; 0: unknown, and G37 does not look
  // G31 stops a training that would need more megabytes of 10^6 bytes than this by its end; 0: the cap of tensor
  // memory, for tensors, and the machine's memory, for the process.
  double memory_limit_mb = 0;
  // Bytes of tensors on the device at their peak; absent: the counting allocator's, where it is in place.
  std::function<int64_t()> peak_bytes = {};
  // Of guards by name, those of the loop (loop_guard.h) and others; what is not here has its own.
  std::map<std::string, GuardLevel> levels = {};
};

// What the library's `guards` and `train` sections come to for the loop (scripts/guards/loop_options.lua).
template <typename Visit>
void Fields(Visit&& visit, GuardOptions& guards) {
  visit({"nonfinite_skip", "updates in a row that guard G23 lets be skipped", 0}, guards.nonfinite_skip);
  visit({"spike_ratio", "guard G23 stops at a loss above so many times the first; 0: never", 0}, guards.spike_ratio);
  visit({"grad_norm_ratio", "guard G23 warns of a norm above so many times its median; 0: never", 0},
        guards.grad_norm_ratio);
  visit({"rollback", "on G23 go on from the newest checkpoint"}, guards.rollback);
  visit({"rollback_factor", "of every base learning rate at a rollback"}, guards.rollback_factor);
  visit({"rollback_tries", "rollbacks at most in the life of the run", 0}, guards.rollback_tries);
  visit({"allow_dead", "guard G30: parameters that may stay without gradient"}, guards.allow_dead);
  visit({"uniform_loss", "what guessing costs; 0: unknown", 0}, guards.uniform_loss);
  visit({"memory_limit_mb", "guard G31 stops above it; 0: the machine's memory", 0}, guards.memory_limit_mb);
  visit({"levels", "of guards by name: error, warn or off"}, guards.levels);
}

}  // namespace lanthorn::train
