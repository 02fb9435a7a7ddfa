#include "engine/train/continual/sleep.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "engine/base/square_sum.h"

namespace lanthorn::train {
namespace {

double Norm(const std::vector<nn::NamedParameter>& parameters) {
  std::vector<at::Tensor> tensors;
  for (const auto& parameter : parameters) tensors.push_back(parameter.tensor);
  return std::sqrt(SquareSum(tensors));
}

}  // namespace

SleepReport Sleep(const std::vector<nn::NamedParameter>& parameters, const SleepOptions& options) {
  const at::NoGradGuard no_grad;
  const at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(static_cast<uint64_t>(options.seed));
  SleepReport report{.norm_before = Norm(parameters)};
  for (const auto& [name, parameter] : parameters) {
    if (!parameter.requires_grad() || name.find("weight") == std::string::npos) continue;
    const at::Tensor weight = parameter.detach();
    report.weights += weight.numel();
    if (options.prune > 0 && weight.numel() > 1) {
      const double bound = options.prune * weight.std().item<double>();
      const at::Tensor small = weight.abs().le(bound);
      report.pruned += small.sum().item<int64_t>();
      weight.masked_fill_(small, 0);
    }
    if (options.decay != 1) weight.mul_(options.decay);
    if (options.noise > 0) {
      const at::Tensor noise = at::randn(weight.sizes(), generator, at::TensorOptions(c10::kFloat));
      weight.add_(noise.to(weight.device(), weight.scalar_type()), options.noise);
    }
  }
  report.norm_after = Norm(parameters);
  return report;
}

}  // namespace lanthorn::train
