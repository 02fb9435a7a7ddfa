// Metrics of an eval by name, each over all targets of all batches.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/train/report/records.h"

namespace lanthorn::train {

class Metric {
 public:
  virtual ~Metric() = default;
  // Counts the targets of one batch. An error when they do not fit the output.
  virtual absl::Status Add(const at::Tensor& output, const at::Tensor& y) = 0;
  // No value without targets, or where the targets leave it undefined.
  virtual std::optional<double> Value() const = 0;
};

// accuracy, top<k>, perplexity: of class numbers, those of -100 left out. binary_accuracy: of logits and targets of 0
// and 1. mae, mse, rmse, r2: of numbers, all elements alike.
const std::vector<std::string>& MetricNames();

class Metrics {
 public:
  // ConfigError, with the nearest name and all of them, for a name that is unknown or given twice.
  static absl::StatusOr<Metrics> Make(const std::vector<std::string>& names);

  absl::Status Add(const at::Tensor& output, const at::Tensor& y);
  // Those that have a value, in the order of their names.
  std::vector<NamedValue> Values() const;
  bool empty() const { return metrics_.empty(); }

 private:
  std::vector<std::pair<std::string, std::unique_ptr<Metric>>> metrics_;
};

}  // namespace lanthorn::train
