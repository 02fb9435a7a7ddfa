// What the next loss will be, from those before it: linear in a few statistics of the last losses and gradient norms,
// fitted step by step (recursive least squares, Haykin 2002, ch. 10). A gate for the divergence monitor; it touches no
// weight.
#pragma once

#include <array>
#include <deque>
#include <nlohmann/json.hpp>
#include <optional>

namespace lanthorn::train {

class LossForecaster {
 public:
  static constexpr size_t kLong = 256, kShort = 16, kNorms = 64;  // losses and gradient norms that statistics are of
  static constexpr size_t kLeast = 2 * kShort;                    // losses before the first forecast

  LossForecaster();

  // The next loss; none before kLeast losses.
  std::optional<double> forecast() const { return forecast_; }
  // A loss that is finite, with the gradient norm of its step where it had one: fits, then forecasts the next.
  void Observe(double loss, std::optional<double> gradient_norm, double learning_rate);

  // Mean absolute errors over all forecasts, beside those of the loss before as a forecast.
  struct Errors {
    int64_t count = 0;
    double forecast = 0, last = 0;
  };
  Errors errors() const;

  nlohmann::json State() const;
  void Load(const nlohmann::json& state);

 private:
  // 1; the last loss; mean, deviation, least and largest of the last kLong; mean of the last kShort, its trend against
  // the kShort before and their ratio; log of the last gradient norm, mean and deviation of the last kNorms; the
  // learning rate, relative to the largest so far.
  static constexpr size_t kFeatures = 13;
  using Row = std::array<double, kFeatures>;

  void Begin();
  Row Features(double learning_rate) const;
  void Fit(double loss);

  std::deque<double> losses_, log_norms_;
  double largest_rate_ = 0;
  Row weights_{}, features_{};
  std::array<Row, kFeatures> inverse_{};  // of the features' sums of products
  std::optional<double> forecast_;
  Errors sums_;
};

}  // namespace lanthorn::train
