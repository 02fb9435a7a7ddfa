#include "engine/optim/optimizer.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "engine/base/torch_compat.h"

namespace lanthorn::optim {

std::vector<OptimizerSpec>& Optimizers() {
  static std::vector<OptimizerSpec> optimizers;
  return optimizers;
}

void Optimizer::AddGroup(std::vector<NamedParameter> parameters, Options options) {
  const double lr = options.at("lr");
  groups_.push_back({std::move(parameters), std::move(options), lr});
}

void Optimizer::Step() {
  at::NoGradGuard no_grad;
  ++steps_;
  for (const Group& group : groups_) {
    for (const NamedParameter& parameter : group.parameters) {
      const at::Tensor& gradient = parameter.tensor.grad();
      if (gradient.defined()) Update(group, parameter, gradient);
    }
  }
}

void Optimizer::SetLrFactor(double factor) {
  for (Group& group : groups_) group.options["lr"] = group.base_lr * factor;
}

at::Tensor& Optimizer::Slot(const NamedParameter& parameter, const char* slot) {
  at::Tensor& tensor = slots_[parameter.tensor.unsafeGetTensorImpl()][slot];
  if (!tensor.defined()) tensor = at::zeros_like(parameter.tensor);
  return tensor;
}

double Optimizer::CountUpdate(const NamedParameter& parameter) {
  at::Tensor& count = slots_[parameter.tensor.unsafeGetTensorImpl()]["step"];
  if (!count.defined()) count = at::zeros({}, c10::kDouble);
  return *count.data_ptr<double>() += 1;
}

std::vector<NamedParameter> Optimizer::StateTensors() const {
  std::vector<NamedParameter> found;
  for (const Group& group : groups_) {
    for (const NamedParameter& parameter : group.parameters) {
      const auto slots = slots_.find(parameter.tensor.unsafeGetTensorImpl());
      if (slots == slots_.end()) continue;
      for (const auto& [slot, tensor] : slots->second) found.push_back({slot + "/" + parameter.name, tensor});
    }
  }
  return found;
}

double GradientNorm(const std::vector<NamedParameter>& parameters) {
  double sum = 0;
  for (const NamedParameter& parameter : parameters) {
    if (!parameter.tensor.grad().defined()) continue;
    const double norm =
        at::linalg_vector_norm(parameter.tensor.grad(), 2, compat::kNullopt, false, c10::kDouble).item<double>();
    sum += norm * norm;
  }
  return std::sqrt(sum);
}

void ClipNorm(const std::vector<NamedParameter>& parameters, double max_norm, double norm) {
  const double scale = max_norm / (norm + 1e-6);
  if (scale >= 1) return;
  at::NoGradGuard no_grad;
  for (const NamedParameter& parameter : parameters) {
    if (parameter.tensor.grad().defined()) parameter.tensor.mutable_grad().mul_(scale);
  }
}

void ClipValue(const std::vector<NamedParameter>& parameters, double limit) {
  at::NoGradGuard no_grad;
  for (const NamedParameter& parameter : parameters) {
    if (parameter.tensor.grad().defined()) parameter.tensor.mutable_grad().clamp_(-limit, limit);
  }
}

}  // namespace lanthorn::optim
