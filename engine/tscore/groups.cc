#include "engine/tscore/groups.h"

#include <algorithm>
#include <cmath>

namespace lanthorn::tscore {

absl::StatusOr<Grouping> GroupingOf(const std::string& name) {
  if (name == "none") return Grouping::kNone;
  if (name == "module") return Grouping::kModule;
  if (name == "parameter") return Grouping::kParameter;
  return ConfigError("tscore: groups '" + name + "' is not known; use none, module or parameter");
}

std::vector<GroupScore> ScoreGroups(Grouping grouping, const std::vector<Part>& parts, int64_t n) {
  if (grouping == Grouping::kNone) return {};
  std::vector<Part> sums;
  for (const Part& part : parts) {
    const std::string name = grouping == Grouping::kModule ? part.name.substr(0, part.name.find('.')) : part.name;
    auto found = std::find_if(sums.begin(), sums.end(), [&](const Part& sum) { return sum.name == name; });
    if (found == sums.end()) found = sums.insert(sums.end(), Part{name});
    found->s += part.s;
    found->q += part.q;
    found->theta_sq += part.theta_sq;
  }
  std::vector<GroupScore> groups;
  for (const Part& sum : sums) {
    const Score score = Compute(sum.s, sum.q, n, std::sqrt(sum.theta_sq));
    groups.push_back({sum.name, sum.s, sum.q, score.t, score.t_corrected, score.status});
  }
  return groups;
}

}  // namespace lanthorn::tscore
