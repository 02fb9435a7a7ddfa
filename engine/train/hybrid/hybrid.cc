#include "engine/train/hybrid/hybrid.h"

#include <cmath>

#include "absl/strings/str_format.h"

namespace lanthorn::train {

absl::StatusOr<std::unique_ptr<Hybrid>> Hybrid::Make(const HybridOptions& options,
                                                     const std::vector<nn::NamedParameter>& parameters,
                                                     std::shared_ptr<optim::Optimizer> optimizer,
                                                     std::function<absl::StatusOr<double>()> probe) {
  LANTHORN_RETURN_IF_ERROR(PhaseController::Check(options));
  LANTHORN_RETURN_IF_ERROR(Predictor::Check(options, *optimizer));
  if (!(options.rho > 0 && options.rho < 1))
    return ConfigError(absl::StrFormat("hybrid: rho must be between 0 and 1, got %g", options.rho));
  return std::unique_ptr<Hybrid>(new Hybrid(options, parameters, std::move(optimizer), std::move(probe)));
}

Hybrid::Hybrid(const HybridOptions& options, const std::vector<nn::NamedParameter>& parameters,
               std::shared_ptr<optim::Optimizer> optimizer, std::function<absl::StatusOr<double>()> probe)
    : options_(options),
      controller_(options),
      monitor_(options),
      optimizer_(optimizer),
      predictor_(options, parameters, std::move(optimizer)),
      probe_(std::move(probe)) {
  if (options.forecast) forecaster_.emplace();
}

bool Hybrid::backward() const {
  const HybridPhase phase = controller_.phase();
  return phase != HybridPhase::kPredict && (phase != HybridPhase::kCorrect || options_.changes_weights());
}

bool Hybrid::Accepts(double loss) const {
  if (!std::isfinite(loss)) return false;
  const double last = probes_.empty() ? HUGE_VAL : probes_.back();
  if (probes_.size() < 2) return loss <= last;
  double mean = 0, squares = 0;
  for (const double probe : probes_) mean += probe / static_cast<double>(probes_.size());
  for (const double probe : probes_) squares += (probe - mean) * (probe - mean) / static_cast<double>(probes_.size());
  return loss <= mean + options_.probe_sigma * std::sqrt(squares) && loss <= options_.probe_worse * last;
}

absl::Status Hybrid::Before(int64_t left, HybridStep* step) {
  step->phase = controller_.phase();
  if (controller_.begins() && step->phase == HybridPhase::kFull) predictor_.BeginBlock();
  if (controller_.begins() && step->phase == HybridPhase::kPredict && options_.changes_weights()) {
    step->delta_norm = predictor_.Predict(std::min(left, controller_.length()), blocks_);
    ++blocks_;
    if (*step->delta_norm == 0 && options_.gamma > 0) {
      return NumericsError(absl::StrFormat(
          "G18 noop_phase: hybrid: the predicted block %d changed no weight; arm=noop does so on purpose", blocks_));
    }
  } else if (controller_.begins() && step->phase == HybridPhase::kPredict) {
    step->delta_norm = 0;
    ++blocks_;
  }
  if (controller_.begins() && step->phase == HybridPhase::kCorrect && options_.changes_weights()) {
    LANTHORN_ASSIGN_OR_RETURN(const double loss, probe_());
    step->probe_loss = loss;
    step->accepted = Accepts(loss);
    if (!*step->accepted) {
      predictor_.Restore();
      ++rejected_;
    }
    predictor_.Drop();
    controller_.Judge(*step->accepted);
  }
  step->confidence = controller_.confidence();
  return absl::OkStatus();
}

DivergenceMonitor::Finding Hybrid::Observe(double loss, std::optional<double> gradient_norm, HybridStep* step) {
  if (!forecaster_) return monitor_.Observe(loss, gradient_norm);
  step->forecast = forecaster_->forecast();
  forecaster_->Observe(loss, gradient_norm, optimizer_->lr());
  return monitor_.Observe(loss, gradient_norm, step->forecast);
}

absl::Status Hybrid::After(std::optional<double> loss, std::optional<double> gradient_norm, HybridStep* step) {
  const HybridPhase phase = controller_.phase();
  if (phase == HybridPhase::kFull) predictor_.AfterUpdate();
  controller_.Advance();
  const bool ended = controller_.begins();
  if (ended && phase == HybridPhase::kWarmup) monitor_.SetBase();
  if (ended && phase == HybridPhase::kFull && options_.changes_weights()) {
    LANTHORN_ASSIGN_OR_RETURN(step->probe_loss, probe_());
    probes_.push_back(*step->probe_loss);
    if (probes_.size() > kProbes) probes_.pop_front();
  }
  if (!loss) return absl::OkStatus();
  const DivergenceMonitor::Finding found = Observe(*loss, gradient_norm, step);
  if (phase == HybridPhase::kWarmup || found.alarm < Alarm::kWarning) return absl::OkStatus();
  step->alarm = absl::StrCat(found.alarm == Alarm::kCritical ? "critical: " : "warning: ", found.reason);
  if (found.alarm == Alarm::kCritical && predictor_.kept()) {
    predictor_.Restore();
    ++restored_;
  }
  if (controller_.Raise(found.alarm)) {
    return NumericsError(absl::StrFormat("hybrid: diverged: %d critical alarms within %d steps, the last one: %s",
                                         PhaseController::kCriticals, PhaseController::kWithin, found.reason));
  }
  return absl::OkStatus();
}

Hybrid::Counts Hybrid::counts() const {
  Counts counts = {blocks_, rejected_, restored_, controller_.counts(), {}};
  if (forecaster_) counts.forecast = forecaster_->errors();
  return counts;
}

NamedTensors Hybrid::Tensors() const {
  NamedTensors pairs;
  for (const nn::NamedParameter& one : predictor_.Tensors()) pairs.emplace_back(one.name, one.tensor);
  return pairs;
}

nlohmann::json Hybrid::State() const {
  return {{"arm", options_.arm},
          {"controller", controller_.State()},
          {"monitor", monitor_.State()},
          {"probes", probes_},
          {"blocks", blocks_},
          {"rejected", rejected_},
          {"restored", restored_},
          {"updates", predictor_.updates()},
          {"forecaster", forecaster_ ? forecaster_->State() : nlohmann::json()}};
}

absl::Status Hybrid::Load(const NamedTensors& tensors, const nlohmann::json& state) {
  std::vector<nn::NamedParameter> named;
  for (const auto& [name, tensor] : tensors) named.push_back({name, tensor});
  LANTHORN_RETURN_IF_ERROR(predictor_.Load(named, state.at("updates")));
  controller_.Load(state.at("controller"));
  monitor_.Load(state.at("monitor"));
  if (forecaster_ && state.contains("forecaster") && !state.at("forecaster").is_null())
    forecaster_->Load(state.at("forecaster"));
  probes_ = state.at("probes").get<std::deque<double>>();
  blocks_ = state.at("blocks");
  rejected_ = state.at("rejected");
  restored_ = state.at("restored");
  return absl::OkStatus();
}

}  // namespace lanthorn::train
