// Names of runs, and how a run takes its folder: by mkdir alone, which is atomic on every file system we know.
#pragma once

#include <functional>
#include <string>

#include "engine/base/status.h"

namespace lanthorn {

// ConfigError unless the name matches [a-z0-9][a-z0-9_-]{0,63}, is not "latest" and does not begin with "sweep-".
absl::Status CheckExperimentName(const std::string& name);

// True for "<YYYYMMDD-HHMMSS>-<6 hex>".
bool IsRunId(const std::string& name);

// Six random hex digits.
std::string DrawHex();

// Makes the new folder `<folder>/<stamp>-<draw()>` and returns its name, the run's id. When another run has the name,
// draws again. MachineError when the folder cannot be made, or after 1,000 draws.
absl::StatusOr<std::string> ClaimRunId(const std::string& folder, const std::string& stamp,
                                       const std::function<std::string()>& draw = DrawHex);

// Points `<folder>/latest` at the newest run by id, by a relative link that is replaced atomically. Runs that are
// claimed at the same time may call this in any order. MachineError when the link cannot be made.
absl::Status UpdateLatest(const std::string& folder);

}  // namespace lanthorn
