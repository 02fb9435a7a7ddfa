#include "engine/tscore/published.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace lanthorn::tscore {
namespace {
constexpr double kEps = 1e-8, kLeast = 1e-12, kUndefined = 0.5;
}

absl::StatusOr<std::optional<Form>> FormOf(const std::string& name) {
  if (name == "none") return std::nullopt;
  if (name == "v1.1") return Form::kV11;
  if (name == "sigmoid") return Form::kSigmoid;
  if (name == "shadow") return Form::kShadow;
  if (name == "plugin") return Form::kPlugin;
  return ConfigError(
      absl::StrCat("tscore: compat '", name, "' is not known; there are none, v1.1, sigmoid, shadow and plugin"));
}

double Published(Form form, double s, double q, int64_t n, double norms) {
  if (n < 2) return kUndefined;
  const double samples = static_cast<double>(n);
  switch (form) {
    case Form::kV11:
      return 1 - std::clamp(s / (q + kEps) / samples, 0.0, 1.0);
    case Form::kSigmoid:
      return 1 / (1 + std::exp(-q / (s + kEps)));
    case Form::kShadow:
      return 1 - std::clamp(norms / (std::sqrt(s) + kEps) / samples, 0.0, 1.0);
    case Form::kPlugin:
      return q < kLeast ? kUndefined : 1 - s / (samples * q);
  }
  return kUndefined;
}

Micro FromBatches(double small_sq, double big_sq, int64_t b, int64_t n) {
  const double few = static_cast<double>(b), all = static_cast<double>(n);
  Micro micro;
  micro.trace = (small_sq - big_sq) / (1 / few - 1 / all);
  micro.signal = (all * big_sq - few * small_sq) / (all - few);
  if (micro.trace + micro.signal > 0) micro.t = (1 - 1 / all) * micro.trace / (micro.signal + micro.trace);
  return micro;
}

}  // namespace lanthorn::tscore
