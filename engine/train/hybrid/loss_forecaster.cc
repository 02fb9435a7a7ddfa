#include "engine/train/hybrid/loss_forecaster.h"

#include <algorithm>
#include <cmath>

namespace lanthorn::train {
namespace {

constexpr size_t kMeanOfShort = 6;     // its feature, the forecast before anything is fitted
constexpr double kFirstInverse = 0.1;  // small: the first forecasts stay near that mean

template <class Iterator>
double Mean(Iterator first, Iterator last) {
  double sum = 0;
  for (Iterator i = first; i != last; ++i) sum += *i;
  return first == last ? 0 : sum / static_cast<double>(last - first);
}

double Deviation(const std::deque<double>& values, double mean) {
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return values.empty() ? 0 : std::sqrt(squares / static_cast<double>(values.size()));
}

void Push(std::deque<double>* values, double value, size_t most) {
  values->push_back(value);
  if (values->size() > most) values->pop_front();
}

}  // namespace

LossForecaster::LossForecaster() { Begin(); }

void LossForecaster::Begin() {
  weights_ = {};
  inverse_ = {};
  weights_[kMeanOfShort] = 1;
  for (size_t i = 0; i < kFeatures; ++i) inverse_[i][i] = kFirstInverse;
}

LossForecaster::Row LossForecaster::Features(double learning_rate) const {
  const auto end = losses_.end();
  const double mean = Mean(losses_.begin(), end), now = Mean(end - kShort, end),
               before = Mean(end - kLeast, end - kShort), norm = Mean(log_norms_.begin(), log_norms_.end());
  const auto [least, largest] = std::minmax_element(losses_.begin(), end);
  return {1,
          losses_.back(),
          mean,
          Deviation(losses_, mean),
          *least,
          *largest,
          now,
          now - before,
          before == 0 ? 0 : now / before,
          log_norms_.empty() ? 0 : log_norms_.back(),
          norm,
          Deviation(log_norms_, norm),
          largest_rate_ > 0 ? learning_rate / largest_rate_ : 0};
}

// With the features x of the forecast: k = P x / (1 + x' P x), w += k (loss - w' x), P -= k x' P.
void LossForecaster::Fit(double loss) {
  Row product{};
  double share = 1;
  for (size_t i = 0; i < kFeatures; ++i) {
    for (size_t j = 0; j < kFeatures; ++j) product[i] += inverse_[i][j] * features_[j];
    share += features_[i] * product[i];
  }
  const double error = loss - *forecast_;
  // Rounding has eaten what it had learnt, as after a loss beyond all others.
  if (!(share >= 1) || !std::isfinite(share * error)) return Begin();
  for (size_t i = 0; i < kFeatures; ++i) {
    weights_[i] += product[i] / share * error;
    for (size_t j = 0; j < kFeatures; ++j) inverse_[i][j] -= product[i] * product[j] / share;
  }
}

void LossForecaster::Observe(double loss, std::optional<double> gradient_norm, double learning_rate) {
  if (!std::isfinite(loss)) return;
  if (forecast_) {
    ++sums_.count;
    sums_.forecast += std::fabs(*forecast_ - loss);
    sums_.last += std::fabs(losses_.back() - loss);
    Fit(loss);
  }
  Push(&losses_, loss, kLong);
  if (gradient_norm && std::isfinite(*gradient_norm)) Push(&log_norms_, std::log(*gradient_norm + 1e-12), kNorms);
  largest_rate_ = std::max(largest_rate_, learning_rate);
  if (losses_.size() < kLeast) return;
  features_ = Features(learning_rate);
  double sum = 0;
  for (size_t i = 0; i < kFeatures; ++i) sum += weights_[i] * features_[i];
  forecast_ = sum;
}

LossForecaster::Errors LossForecaster::errors() const {
  const double count = static_cast<double>(std::max<int64_t>(sums_.count, 1));
  return {sums_.count, sums_.forecast / count, sums_.last / count};
}

nlohmann::json LossForecaster::State() const {
  return {{"losses", losses_},
          {"log_norms", log_norms_},
          {"largest_rate", largest_rate_},
          {"weights", weights_},
          {"features", features_},
          {"inverse", inverse_},
          {"forecast", forecast_ ? nlohmann::json(*forecast_) : nlohmann::json()},
          {"errors", {sums_.count, sums_.forecast, sums_.last}}};
}

void LossForecaster::Load(const nlohmann::json& state) {
  losses_ = state.at("losses").get<std::deque<double>>();
  log_norms_ = state.at("log_norms").get<std::deque<double>>();
  largest_rate_ = state.at("largest_rate");
  weights_ = state.at("weights").get<Row>();
  features_ = state.at("features").get<Row>();
  inverse_ = state.at("inverse").get<std::array<Row, kFeatures>>();
  forecast_.reset();
  if (!state.at("forecast").is_null()) forecast_ = state.at("forecast").get<double>();
  sums_ = {state.at("errors").at(0), state.at("errors").at(1), state.at("errors").at(2)};
}

}  // namespace lanthorn::train
