#include "engine/train/eval/metrics.h"

#include <ATen/Functions.h>

#include <cmath>
#include <functional>

#include "absl/algorithm/container.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/text/nearest.h"
#include "engine/kernels/loss/linear_cross_entropy.h"
#include "engine/train/loss/losses.h"

namespace lanthorn::train {
namespace {

double Sum(const at::Tensor& tensor) { return tensor.to(c10::kDouble).sum().item<double>(); }

// A mean over class numbers, each of which adds a number.
class OfClasses final : public Metric {
 public:
  using Each = std::function<absl::StatusOr<at::Tensor>(const Classes&)>;  // (M)
  using Finish = double (*)(double mean);
  OfClasses(std::string name, Each each, Finish finish)
      : name_(std::move(name)), each_(std::move(each)), finish_(finish) {}

  absl::Status Add(const at::Tensor& output, const at::Tensor& y) override {
    LANTHORN_ASSIGN_OR_RETURN(Classes classes, AsClasses("metric " + name_, output, y));
    const at::Tensor counted = classes.numbers.ne(kernels::kIgnoredTarget).nonzero().squeeze(1);
    if (counted.numel() < classes.numbers.numel())
      classes = {classes.scores.index_select(0, counted), classes.numbers.index_select(0, counted)};
    count_ += counted.numel();
    if (counted.numel() == 0) return absl::OkStatus();
    LANTHORN_ASSIGN_OR_RETURN(const at::Tensor each, each_(classes));
    sum_ += Sum(each);
    return absl::OkStatus();
  }
  std::optional<double> Value() const override {
    if (count_ == 0) return std::nullopt;
    return finish_(sum_ / static_cast<double>(count_));
  }

 private:
  std::string name_;
  Each each_;
  Finish finish_;
  double sum_ = 0;
  int64_t count_ = 0;
};

// From the sums over all elements that regression asks for.
struct Sums {
  double count = 0, absolute = 0, square = 0;       // of output - y
  double mean = 0, square_deviation = 0, hits = 0;  // of y; of the same side of a half
};

class OfNumbers final : public Metric {
 public:
  using Finish = std::optional<double> (*)(const Sums&);
  OfNumbers(std::string name, Finish finish) : name_(std::move(name)), finish_(finish) {}

  absl::Status Add(const at::Tensor& output, const at::Tensor& y) override {
    LANTHORN_RETURN_IF_ERROR(CheckNumbers("metric " + name_, output, y));
    if (y.numel() == 0) return absl::OkStatus();
    const at::Tensor wide = y.to(c10::kDouble), difference = output.to(c10::kDouble) - wide;
    sums_.absolute += Sum(difference.abs());
    sums_.square += Sum(difference.square());
    sums_.hits += Sum(output.gt(0).eq(y.gt(0.5)));
    // Chan et al.: two sets' deviations and the distance of their means.
    const double count = static_cast<double>(y.numel()), mean = Sum(wide) / count, shift = mean - sums_.mean;
    const double all = sums_.count + count;
    sums_.square_deviation += Sum((wide - mean).square()) + shift * shift * sums_.count * count / all;
    sums_.mean += shift * count / all;
    sums_.count = all;
    return absl::OkStatus();
  }
  std::optional<double> Value() const override { return sums_.count > 0 ? finish_(sums_) : std::nullopt; }

 private:
  std::string name_;
  Finish finish_;
  Sums sums_;
};

double Same(double mean) { return mean; }

// "top5" is 5; 0 for anything else.
int64_t TopOf(const std::string& name) {
  int64_t k = 0;
  return name.rfind("top", 0) == 0 && absl::SimpleAtoi(name.substr(3), &k) && k > 0 ? k : 0;
}

std::unique_ptr<Metric> MakeMetric(const std::string& name) {
  if (name == "accuracy") {
    return std::make_unique<OfClasses>(
        name, [](const Classes& c) -> absl::StatusOr<at::Tensor> { return c.scores.argmax(1).eq(c.numbers); }, &Same);
  }
  if (const int64_t k = TopOf(name)) {
    const auto each = [name, k](const Classes& c) -> absl::StatusOr<at::Tensor> {
      if (k > c.scores.size(1))
        return ConfigError(absl::StrCat("metric ", name, ": the model tells ", c.scores.size(1), " classes apart"));
      return std::get<1>(c.scores.topk(k, 1)).eq(c.numbers.unsqueeze(1)).any(1);
    };
    return std::make_unique<OfClasses>(name, each, &Same);
  }
  if (name == "perplexity") {
    const auto each = [](const Classes& c) -> absl::StatusOr<at::Tensor> {
      return at::cross_entropy_loss(c.scores, c.numbers, {}, /*reduction=*/0);
    };
    return std::make_unique<OfClasses>(name, each, [](double mean) { return std::exp(mean); });
  }
  static const std::vector<std::pair<std::string, OfNumbers::Finish>> of_numbers = {
      {"binary_accuracy", [](const Sums& s) -> std::optional<double> { return s.hits / s.count; }},
      {"mae", [](const Sums& s) -> std::optional<double> { return s.absolute / s.count; }},
      {"mse", [](const Sums& s) -> std::optional<double> { return s.square / s.count; }},
      {"rmse", [](const Sums& s) -> std::optional<double> { return std::sqrt(s.square / s.count); }},
      {"r2",
       [](const Sums& s) -> std::optional<double> {
         if (!(s.square_deviation > 0)) return std::nullopt;  // equal targets have nothing to explain
         return 1 - s.square / s.square_deviation;
       }},
  };
  for (const auto& [known, finish] : of_numbers) {
    if (name == known) return std::make_unique<OfNumbers>(name, finish);
  }
  return nullptr;
}

}  // namespace

const std::vector<std::string>& MetricNames() {
  static const std::vector<std::string> names = {"accuracy", "top5", "perplexity", "binary_accuracy",
                                                 "mae",      "mse",  "rmse",       "r2"};
  return names;
}

absl::StatusOr<Metrics> Metrics::Make(const std::vector<std::string>& names) {
  Metrics made;
  for (const std::string& name : names) {
    std::unique_ptr<Metric> metric = MakeMetric(name);
    if (metric == nullptr) {
      return ConfigError(absl::StrCat("eval.metrics: '", name, "' is not known", DidYouMean(name, MetricNames()),
                                      "; metrics by name are ", absl::StrJoin(MetricNames(), ", "),
                                      " (top<k> with any k)"));
    }
    if (absl::c_any_of(made.metrics_, [&](const auto& entry) { return entry.first == name; }))
      return ConfigError("eval.metrics: '" + name + "' stands there twice");
    made.metrics_.emplace_back(name, std::move(metric));
  }
  return made;
}

absl::Status Metrics::Add(const at::Tensor& output, const at::Tensor& y) {
  for (const auto& [name, metric] : metrics_) LANTHORN_RETURN_IF_ERROR(metric->Add(output, y));
  return absl::OkStatus();
}

std::vector<NamedValue> Metrics::Values() const {
  std::vector<NamedValue> values;
  for (const auto& [name, metric] : metrics_) {
    if (const auto value = metric->Value()) values.push_back({name, *value});
  }
  return values;
}

}  // namespace lanthorn::train
