// Reads metrics.jsonl back: what reports, sweeps and comparisons start from.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/base/status.h"

namespace lanthorn {

struct Metrics {
  std::vector<nlohmann::json> lines;  // in file order, without void ones
  bool torn = false;                  // the last line was cut short and left out
};

// A torn last line is left out. After a "resume" or "rollback" event at step k, earlier lines with a step above k are
// void and left out; events stay, but for those that are points of a curve, "epoch" and "tscore_probe". DataError when
// the file is missing or a line before the last is not a JSON object.
absl::StatusOr<Metrics> ReadMetrics(const std::string& path);
// The same of a file's text; `path` is for messages.
absl::StatusOr<Metrics> ParseMetrics(const std::string& path, const std::string& text);

}  // namespace lanthorn
