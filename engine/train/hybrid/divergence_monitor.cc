#include "engine/train/hybrid/divergence_monitor.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"

namespace lanthorn::train {
namespace {

constexpr double kLeastDeviation = 1e-6;

// The graver of two findings.
void Take(DivergenceMonitor::Finding* found, Alarm alarm, const std::string& reason) {
  if (alarm > found->alarm) *found = {alarm, reason};
}

Alarm Levels(double x, double caution, double warning, double critical) {
  if (x > critical) return Alarm::kCritical;
  if (x > warning) return Alarm::kWarning;
  return x > caution ? Alarm::kCaution : Alarm::kNone;
}

}  // namespace

void DivergenceMonitor::Mean::Add(double x, double decay, bool published) {
  if (count++ == 0) {
    mean = x;
    variance = published ? x * x : 0;
    weight = published ? 1 / (1 - decay) : 1;
    return;
  }
  weight = decay * weight + 1;
  const double from = x - mean, share = 1 / weight;
  mean += share * from;
  variance = (1 - share) * (variance + share * from * from);
}

DivergenceMonitor::Finding DivergenceMonitor::Observe(double loss, std::optional<double> gradient_norm,
                                                      std::optional<double> forecast) {
  Finding found;
  if (!std::isfinite(loss) || (gradient_norm && !std::isfinite(*gradient_norm)))
    return {Alarm::kCritical, "loss or gradient is not finite"};
  if (loss_.count >= kFirst) {
    const double deviation = std::max(std::sqrt(loss_.variance), kLeastDeviation);
    const double above = loss - loss_.mean, z = (options_.published_monitor ? std::fabs(above) : above) / deviation;
    Take(&found, Levels(z, 0.7 * options_.sigma, options_.sigma, 2 * options_.sigma),
         absl::StrFormat("loss %.4g is %.1f deviations from its mean %.4g", loss, z, loss_.mean));
    if (gradient_norm && base_ > 0) {
      const double most = options_.gradient_multiplier;
      Take(&found, Levels(*gradient_norm / base_, most, most, 10 * most),
           absl::StrFormat("gradient norm %.4g is %.1f times that of the warm-up", *gradient_norm,
                           *gradient_norm / base_));
      if (*gradient_norm < options_.vanishing * base_)
        Take(&found, Alarm::kWarning, absl::StrFormat("gradient norm %.4g has all but vanished", *gradient_norm));
    }
  }
  if (forecast) {
    // As published the error is taken for the forecast, so that a good one alarms and a bad one does not.
    const double told = options_.published_monitor ? std::fabs(*forecast - loss) : *forecast;
    double error = std::fabs(told - loss) / std::max(std::fabs(loss), kLeastDeviation);
    // Ours looks up alone, and not within what losses differ by.
    if (!options_.published_monitor && loss - told <= std::sqrt(loss_.variance)) error = 0;
    Take(&found, Levels(error, 0.2, 0.5, HUGE_VAL),
         absl::StrFormat("the loss forecast is off by %.0f %%", 100 * error));
  }
  const bool counts = found.alarm >= Alarm::kWarning;
  recent_.push_back(loss);
  if (recent_.size() > kDifferences + 1) recent_.pop_front();
  // Losses of batches that differ turn in two thirds of steps by chance, and of a few losses in all of them.
  const size_t least = options_.published_monitor ? static_cast<size_t>(kFirst) : kDifferences + 1;
  if (recent_.size() >= least) {
    int64_t changes = 0;
    for (size_t i = 2; i < recent_.size(); ++i)
      changes += (recent_[i] - recent_[i - 1]) * (recent_[i - 1] - recent_[i - 2]) < 0 ? 1 : 0;
    const double share = static_cast<double>(changes) / static_cast<double>(recent_.size() - 2);
    Take(&found, Levels(share, 0.5, 0.8, HUGE_VAL), absl::StrFormat("the loss turns in %.0f %% of steps", 100 * share));
  }
  loss_.Add(loss, options_.ema_decay, options_.published_monitor);
  if (gradient_norm) norm_.Add(*gradient_norm, options_.ema_decay, options_.published_monitor);
  // A loss that turns has not left its mean: as published, some noise was enough to be taken for divergence.
  warnings_ = counts || (options_.published_monitor && found.alarm >= Alarm::kWarning) ? warnings_ + 1 : 0;
  if (found.alarm == Alarm::kWarning && warnings_ >= kInARow) found.alarm = Alarm::kCritical;
  if (found.alarm == Alarm::kCritical) warnings_ = 0;
  return found;
}

nlohmann::json DivergenceMonitor::State() const {
  const auto of = [](const Mean& m) { return nlohmann::json{m.count, m.weight, m.mean, m.variance}; };
  return {{"loss", of(loss_)}, {"norm", of(norm_)}, {"base", base_}, {"recent", recent_}, {"warnings", warnings_}};
}

void DivergenceMonitor::Load(const nlohmann::json& state) {
  const auto read = [](const nlohmann::json& from) { return Mean{from.at(0), from.at(1), from.at(2), from.at(3)}; };
  loss_ = read(state.at("loss"));
  norm_ = read(state.at("norm"));
  base_ = state.at("base");
  recent_ = state.at("recent").get<std::deque<double>>();
  warnings_ = state.at("warnings");
}

}  // namespace lanthorn::train
