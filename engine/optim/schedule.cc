#include "engine/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "absl/strings/str_cat.h"

namespace lanthorn::optim {

absl::Status Schedule::Validate() const {
  if (name != "constant" && name != "step" && name != "cosine" && name != "linear") {
    return ConfigError("schedule '" + name + "' is not known; use constant, step, cosine or linear");
  }
  if (warmup < 0) return ConfigError("schedule: warmup must not be negative, got " + std::to_string(warmup));
  if (name == "step" && every <= 0)
    return ConfigError("schedule 'step' needs decay_every >= 1, got " + std::to_string(every));
  const bool falls = name == "cosine" || name == "linear";
  if (falls && total <= std::max(warmup, hold)) {
    return ConfigError(absl::StrCat("schedule '", name, "': a ", warmup >= hold ? "warmup" : "hold", " of ",
                                    std::max(warmup, hold), " leaves none of the ", total, " updates"));
  }
  if (hold < 0) return ConfigError("schedule: hold must not be negative, got " + std::to_string(hold));
  if (hold > 0 && !falls)
    return ConfigError("schedule '" + name + "' does not fall, so hold means nothing; use cosine or linear");
  if (every < 0) return ConfigError("schedule: decay_every must not be negative, got " + std::to_string(every));
  if (name == "step" && !(gamma > 0 && std::isfinite(gamma)))
    return ConfigError("schedule 'step' multiplies the learning rate by gamma, which must be above 0, got " +
                       absl::StrCat(gamma));
  if (!(min_factor >= 0 && min_factor <= 1)) return ConfigError("schedule: min_factor must be in [0, 1]");
  return absl::OkStatus();
}

double Schedule::Factor(int64_t step) const {
  if (step < warmup) return static_cast<double>(step + 1) / static_cast<double>(warmup);
  if (name == "step") return std::pow(gamma, static_cast<double>((step - warmup) / every));
  if (name == "constant") return 1;
  const int64_t begin = std::max(warmup, hold);
  if (step < begin) return 1;
  const double progress = std::min(1.0, static_cast<double>(step - begin) / static_cast<double>(total - begin));
  const double shape = name == "cosine" ? 0.5 * (1 + std::cos(std::numbers::pi * progress)) : 1 - progress;
  return min_factor + (1 - min_factor) * shape;
}

}  // namespace lanthorn::optim
