// T-Score by parts of a model.
#pragma once

#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/tscore/score.h"

namespace lanthorn::tscore {

// kModule: by the first part of a parameter's name, the model's own child ("rnn" of "rnn.weight_hh_l0"); a parameter of
// the model itself is a group of its own. kParameter: by the whole name.
enum class Grouping { kNone, kModule, kParameter };

// "none", "module" or "parameter"; anything else is a config error.
absl::StatusOr<Grouping> GroupingOf(const std::string& name);

// What one parameter adds to the sums of a score; theta_sq is its own squared norm.
struct Part {
  std::string name;
  double s = 0, q = 0, theta_sq = 0;
};

// One score for each group over n samples, in the order in which the groups first occur. Empty for kNone.
std::vector<GroupScore> ScoreGroups(Grouping grouping, const std::vector<Part>& parts, int64_t n);

}  // namespace lanthorn::tscore
