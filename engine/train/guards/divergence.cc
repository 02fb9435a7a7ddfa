#include "engine/train/guards/divergence.h"

#include <ATen/Functions.h>

#include <cmath>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_format.h"
#include "engine/train/guards/loop_guard.h"

namespace lanthorn::train {
namespace {

bool Finite(const at::Tensor& tensor) { return at::isfinite(tensor).all().item<bool>(); }

// A NaN's sign says nothing.
double Plain(double value) { return std::isnan(value) ? std::abs(value) : value; }

// "value of 'head.bias'", "gradient of 'head.bias'", or empty.
std::string FirstBad(const std::vector<nn::NamedParameter>& parameters) {
  for (const auto& parameter : parameters) {
    if (!Finite(parameter.tensor.detach())) return "value of '" + parameter.name + "'";
  }
  for (const auto& parameter : parameters) {
    if (parameter.tensor.grad().defined() && !Finite(parameter.tensor.grad()))
      return "gradient of '" + parameter.name + "'";
  }
  return "";
}

// What to do about a norm so far above its median.
std::string NormAdvice(double norm, double median, double clip_norm) {
  const std::string limit = absl::StrFormat("optim.clip_norm=%.2g, twice the median", 2 * median);
  if (clip_norm == 0) return "consider " + limit;
  if (norm <= clip_norm)
    return absl::StrFormat("optim.clip_norm=%g is above it and changes nothing; consider %s", clip_norm, limit);
  return absl::StrFormat(
      "optim.clip_norm=%g made this update %.0f times smaller; if it happens often, try a smaller learning rate or a "
      "longer warm-up",
      clip_norm, norm / clip_norm);
}

}  // namespace

std::string NonfiniteCause(const std::string& when, double loss, const TermValues& terms, double grad_norm,
                           const std::vector<nn::NamedParameter>& parameters) {
  std::string cause, others;
  for (const auto& [name, value] : terms) {
    if (cause.empty() && !std::isfinite(value)) {
      cause = absl::StrFormat("loss term '%s' is %g %s", name, Plain(value), when);
    } else {
      absl::StrAppendFormat(&others, ", %s %g", name, Plain(value));
    }
  }
  if (!cause.empty()) {
    absl::StrAppendFormat(&cause, " (loss %g%s)", Plain(loss), others);
  } else if (!std::isfinite(loss)) {
    cause = absl::StrFormat("the loss is %g %s", Plain(loss), when);
  } else if (std::isfinite(grad_norm)) {
    return "";
  }
  const std::string bad = FirstBad(parameters);
  if (!cause.empty()) return bad.empty() ? cause : cause + ", first bad tensor: the " + bad;
  if (bad.empty()) return absl::StrFormat("the gradient norm overflows %s (loss %g)", when, loss);
  return absl::StrFormat("the %s is not finite %s (loss %g)", bad, when, loss);
}

absl::StatusOr<std::string> DumpUpdate(const std::string& folder, int64_t step, const std::string& cause,
                                       const std::vector<data::Batch>& batches,
                                       const std::vector<nn::NamedParameter>& parameters,
                                       const optim::Optimizer& optimizer) {
  if (std::error_code error; !std::filesystem::create_directories(folder, error) && error)
    return MachineError(absl::StrCat("'", folder, "': cannot be made: ", error.message()));
  const std::string path = absl::StrFormat("%s/nonfinite-step-%d", folder, step);
  const std::map<std::string, std::string> about = {{"step", absl::StrCat(step)}, {"cause", cause}};
  NamedTensors inputs, state;
  for (size_t i = 0; i < batches.size(); ++i) {
    const std::string number = i == 0 ? "" : absl::StrCat(".", i + 1);
    inputs.emplace_back("x" + number, batches[i].x);
    inputs.emplace_back("y" + number, batches[i].y);
  }
  for (const auto& parameter : parameters) {
    state.emplace_back("parameter/" + parameter.name, parameter.tensor.detach());
    if (parameter.tensor.grad().defined()) state.emplace_back("gradient/" + parameter.name, parameter.tensor.grad());
  }
  for (const auto& slot : optimizer.StateTensors()) state.emplace_back("optimizer/" + slot.name, slot.tensor);
  LANTHORN_RETURN_IF_ERROR(WriteSafetensors(path + ".safetensors", inputs, about));
  LANTHORN_RETURN_IF_ERROR(WriteSafetensors(path + "-state.safetensors", state, about));
  return path + ".safetensors and " + path + "-state.safetensors";
}

std::optional<std::string> LossSpike(int64_t step, double loss, double first_loss, double ratio, int64_t warm_up) {
  if (!(ratio > 0) || !(first_loss > 0) || step <= warm_up || !(loss > ratio * first_loss)) return std::nullopt;
  return absl::StrFormat(
      "G23 nonfinite: the loss is %.4g at update %d, more than %g times the first loss (%.4g); try a smaller "
      "learning rate or optim.clip_norm=1; to accept: guards.loss_spike.ratio=0",
      loss, step, ratio, first_loss);
}

std::optional<Warning> GradientNormWatch::Add(int64_t step, double norm) {
  const std::optional<double> median = median_.Value();
  median_.Add(norm);
  if (++seen_ <= kFewest || !(ratio_ > 0) || step < quiet_until_ || !(norm > ratio_ * *median)) return std::nullopt;
  quiet_until_ = 2 * step;
  return Warning{absl::StrFormat("G23 nonfinite: gradient norm %.4g at update %d is %.0f times its median %.4g "
                                 "(guards.grad_norm.ratio=%g); %s",
                                 norm, step, norm / *median, *median, ratio_, NormAdvice(norm, *median, clip_norm_)),
                 step, norm, ratio_ * *median};
}

namespace {

// That a loss or a gradient is not finite is seen before the update (Trainer::CheckDivergence).
class GradientNormGuard final : public LoopGuard {
 public:
  explicit GradientNormGuard(const LoopGuardContext& context)
      : watch_(context.options.grad_norm_ratio, context.options.clip_norm) {}
  std::optional<Finding> AfterUpdate(const StepRecord& record) override {
    const auto found = record.skipped ? std::nullopt : watch_.Add(record.step, record.grad_norm);
    return found ? std::optional(Finding{*found, Does::kWarn}) : std::nullopt;
  }

 private:
  GradientNormWatch watch_;
};

const RegisterLoopGuard guard({"G23", "nonfinite", GuardLevel::kError, ExitCode::kNumerics,
                               [](const auto& context) { return std::make_unique<GradientNormGuard>(context); }});

}  // namespace
}  // namespace lanthorn::train
