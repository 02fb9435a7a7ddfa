// Forms of T-Score that were published or circulate, for comparison with what others report. Each hides something that
// the score of score.h says: they have a value where nothing was measured, and eps is absolute.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/status.h"

namespace lanthorn::tscore {

enum class Form {
  kV11,      // 1 - clamp(S / (Q + 1e-8) / N, 0, 1); N < 2: 0.5. Vanishing gradients give 1
  kSigmoid,  // 1 / (1 + exp(-d)), d = Q / (S + 1e-8); N < 2: 0.5. Never below sigmoid(1 / N) > 0.5
  kShadow,   // 1 - clamp(sum ||g_i|| / (||sum g_i|| + 1e-8) / N, 0, 1): not squared, and turned round
  kPlugin,   // 1 - S / (N Q); N < 2 or Q < 1e-12: 0.5
};

// ConfigError for a name other than v1.1, sigmoid, shadow and plugin; nothing for "none".
absl::StatusOr<std::optional<Form>> FormOf(const std::string& name);

// What a form makes of S = ||sum g||^2, Q = sum ||g||^2 and N. The shadow form needs sum ||g|| too.
double Published(Form form, double s, double q, int64_t n, double norms = 0);

// Two estimates from the squared gradient norms of batches of `b` and of `n` > b samples (McCandlish et al. 2018,
// appendix A): tr(Sigma) and ||G||^2, and T of n samples from them.
struct Micro {
  double trace = 0, signal = 0;
  std::optional<double> t;  // no value where trace + signal is not positive
};
Micro FromBatches(double small_sq, double big_sq, int64_t b, int64_t n);

}  // namespace lanthorn::tscore
