#include "engine/train/eval/generate.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "absl/strings/str_format.h"
#include "engine/tscore/recorder.h"

namespace lanthorn::train {
namespace {

// Draws an id from logits (V).
int64_t Draw(at::Tensor logits, const SampleOptions& options) {
  if (options.temperature == 0) return logits.argmax().item<int64_t>();
  logits = logits.to(c10::kCPU, c10::kDouble) / options.temperature;
  const int64_t V = logits.numel();
  auto [sorted, order] = logits.sort(/*dim=*/0, /*descending=*/true);
  at::Tensor probability = at::softmax(sorted, 0);
  if (options.top_k > 0 && options.top_k < V) probability.narrow(0, options.top_k, V - options.top_k).zero_();
  if (options.top_p < 1) {
    // The first token that reaches the share still counts: what lies before a token must be below it.
    const at::Tensor before = probability.cumsum(0) - probability;
    probability.masked_fill_(before.ge(options.top_p * probability.sum().item<double>()), 0);
  }
  return order[at::multinomial(probability, 1, false, options.generator).item<int64_t>()].item<int64_t>();
}

absl::Status Validate(const at::Tensor& prompt, const SampleOptions& o) {
  if (prompt.dim() != 1 || prompt.numel() == 0) return ConfigError("generate: the prompt must hold at least one token");
  if (o.length < 0) return ConfigError(absl::StrFormat("generate: length must not be negative, got %d", o.length));
  if (!(o.temperature >= 0) || std::isinf(o.temperature))
    return ConfigError(absl::StrFormat("generate: temperature must be 0 or more, got %g", o.temperature));
  if (o.top_k < 0) return ConfigError(absl::StrFormat("generate: top_k must be 0 (all) or more, got %d", o.top_k));
  if (!(o.top_p > 0 && o.top_p <= 1))
    return ConfigError(absl::StrFormat("generate: top_p must be in (0, 1], got %g", o.top_p));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<at::Tensor> Generate(const StepFn& step, const at::Tensor& prompt, const SampleOptions& options) {
  LANTHORN_RETURN_IF_ERROR(Validate(prompt, options));
  const at::NoGradGuard no_grad;
  const tscore::Recorder::Pause no_recorder;
  at::Tensor drawn = at::empty({options.length}, prompt.options());
  nn::State state;
  at::Tensor input = prompt.unsqueeze(0);  // (1, T)
  for (int64_t i = 0; i < options.length; ++i) {
    LANTHORN_ASSIGN_OR_RETURN(const at::Tensor logits, step(input, &state));
    const int64_t id = Draw(logits.select(0, 0).select(0, logits.size(1) - 1), options);
    drawn.data_ptr<int64_t>()[i] = id;
    input = at::full({1, 1}, id, prompt.options());
  }
  return drawn;
}

}  // namespace lanthorn::train
