// exit.json: how a run ended. Its process writes it; where that is gone, whoever closes the run does.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "engine/base/status.h"

namespace lanthorn {

// Writes exit.json, atomically. `fields` are those of the specification (README.md) that are known: state, code, reason
// and more; `format` and `ended` are added, and what is unknown is null.
absl::Status WriteExit(const std::string& run_folder, const nlohmann::json& fields);

// The same for a run whose process cannot write it any more: attempt, step, steps and started come from its
// status.json, wall_s from the time since then. Nothing when the run is closed already.
absl::Status CloseRun(const std::string& run_folder, const nlohmann::json& fields);

}  // namespace lanthorn
