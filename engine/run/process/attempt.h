// Who works on a run. Each attempt to continue it takes the folder .attempt-<k> by mkdir and says in owner.json which
// process it is, so that a live run is never resumed and two that try at once do not both succeed.
#pragma once

#include <optional>
#include <string>

#include "engine/base/status.h"

namespace lanthorn {

// The process of an attempt.
struct Owner {
  int64_t pid = 0;
  std::string host;
  bool alive = false;  // on this machine: the process exists; elsewhere: its heartbeat is younger than two minutes
};

// The process that a run belongs to now; no value when there is none, or when the run has ended (exit.json).
std::optional<Owner> OwnerOfRun(const std::string& run_folder);

// Takes the next attempt of a run and gives its number, 1 for a new run. A "exit.json" becomes "exit.<k>.json", k being
// the attempt that wrote it. Error 5 that names the process when another one owns the run or was faster.
absl::StatusOr<int> ClaimAttempt(const std::string& run_folder);

}  // namespace lanthorn
