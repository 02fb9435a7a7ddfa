// What is known before the first update: the loss of a fresh model, the time and the memory of a step.
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <limits>

#include "absl/strings/str_format.h"
#include "engine/base/memory/memory.h"
#include "engine/nn/buffers_aside.h"
#include "engine/train/eval/eval_scope.h"
#include "engine/train/eval/metrics.h"
#include "engine/train/fetch.h"
#include "engine/train/guards/alive_check.h"
#include "engine/train/guards/divergence.h"
#include "engine/train/state/random_state.h"
#include "engine/train/trainer.h"

namespace lanthorn::train {
namespace {

// No gradients are left behind, whichever way measuring ends.
class ClearGradients {
 public:
  explicit ClearGradients(nn::Module& model) : model_(model) {}
  ~ClearGradients() { model_.ZeroGrad(); }

 private:
  nn::Module& model_;
};

absl::Status CheckInitialLoss(double loss, const InitialLoss& initial) {
  if (!initial.guard || !initial.expected) return absl::OkStatus();
  const double expected = *initial.expected, reach = std::max(initial.absolute, initial.relative * expected);
  if (std::abs(loss - expected) <= reach) return absl::OkStatus();
  return NumericsError(absl::StrFormat(
      "G05 init_loss: first loss %.4g, expected %.4g +- %.2g; a fresh model should guess evenly: is the embedding's or "
      "the "
      "head's initial spread too large, a final norm missing, or the head tied to an N(0,1) embedding? to accept: "
      "guards.init_loss=off, or train.expect_loss=%.4g",
      loss, expected, reach, loss));
}

// Tensor memory that f takes beyond what is there; no value where that is more than there is.
template <class F>
absl::StatusOr<std::optional<int64_t>> PeakOf(const F& f) {
  const int64_t before = memory::TensorBytes();
  memory::MarkTensorPeak();
  try {
    LANTHORN_RETURN_IF_ERROR(f());
  } catch (const memory::OutOfMemory&) {
    return std::optional<int64_t>();
  }
  return std::optional<int64_t>(std::max<int64_t>(0, memory::TensorPeakSinceMark() - before));
}

}  // namespace

absl::StatusOr<Measurement> Trainer::Measure(const InitialLoss& initial) {
  const RandomState random;
  const nn::BuffersAside buffers(*model_);
  const ClearGradients clear(*model_);
  LANTHORN_RETURN_IF_ERROR(CheckDevices(parameters_, options_.device));
  PhaseSeconds unused{};
  train_->SetEpoch(result_.epoch - 1);
  const std::vector<data::Batch> batches = FetchUpdate(*train_, 0, options_.train.accumulate, options_.device, &unused);
  BeginTraining(*model_);
  Measurement measurement;
  const auto tscore =
      options_.tscore.every > 0 && !options_.tscore.loop() ? Gradients::TScore::kOn : Gradients::TScore::kOff;
  if (options_.train.recompute) {  // what it saves is only known beside a step without it
    gradients_.set_recompute(false);
    const auto peak = PeakOf([&] {
      PhaseSeconds phases{};
      return gradients_.Of(batches, tscore, &phases).status();
    });
    gradients_.set_recompute(true);
    model_->ZeroGrad();
    LANTHORN_ASSIGN_OR_RETURN(measurement.kept_activation_bytes, peak);
  }
  const int64_t bytes_before = memory::TensorBytes();
  memory::MarkTensorPeak();
  double best = std::numeric_limits<double>::infinity();
  constexpr int kRuns = 3;
  for (int run = 0; run < kRuns; ++run) {
    PhaseSeconds phases{};
    model_->ZeroGrad();
    const double begin = Now();
    LANTHORN_ASSIGN_OR_RETURN(const GradientPass pass, gradients_.Of(batches, tscore, &phases));
    if (run > 0) best = std::min(best, Now() - begin);
    if (run > 0) continue;
    if (pass.targets == 0) {
      return DataError(
          "G21 batch_shape: the first update has no target (all are masked, or the loss function returned 0), so there "
          "is "
          "nothing to learn from");
    }
    measurement.first_loss = pass.value;
    const std::string cause =
        NonfiniteCause("before the first update", pass.value, pass.terms, /*grad_norm=*/0, parameters_);
    if (!cause.empty()) return NumericsError("G23 nonfinite: " + cause);
    LANTHORN_RETURN_IF_ERROR(CheckInitialLoss(pass.value, initial));
    measurement.activation_bytes = std::max<int64_t>(0, memory::TensorPeakSinceMark() - bytes_before);
  }
  measurement.step_s = best;
  if (!options_.eval.metrics.empty()) {  // what does not fit them is found before the first epoch and not behind it
    LANTHORN_ASSIGN_OR_RETURN(Metrics metrics, Metrics::Make(options_.eval.metrics));
    const EvalScope eval(*model_);
    const at::NoGradGuard no_grad;
    LANTHORN_RETURN_IF_ERROR(evaluator_.LossOf(batches.front(), &metrics).status());
  }
  return measurement;
}

}  // namespace lanthorn::train
