#include "engine/optim/optimizer.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <set>

#include "engine/base/square_sum.h"

namespace lanthorn::optim {

std::vector<OptimizerSpec>& Optimizers() {
  static std::vector<OptimizerSpec> optimizers;
  return optimizers;
}

void Optimizer::AddGroup(std::vector<NamedParameter> parameters, Options options) {
  const double lr = options.at("lr");
  std::set<const void*> known;
  for (const Group& group : groups_) {
    for (const NamedParameter& parameter : group.parameters) known.insert(parameter.tensor.unsafeGetTensorImpl());
  }
  for (const NamedParameter& parameter : parameters) {
    TORCH_CHECK(known.insert(parameter.tensor.unsafeGetTensorImpl()).second, "[", name_, "] parameter '",
                parameter.name, "' is given twice; each belongs to one group, once");
  }
  groups_.push_back({std::move(parameters), std::move(options), lr});
}

void Optimizer::Step(double gradient_scale) {
  at::NoGradGuard no_grad;
  ++steps_;
  std::vector<Pending> pending;
  for (const Group& group : groups_) {
    for (const NamedParameter& parameter : group.parameters) {
      const at::Tensor& gradient = parameter.tensor.grad();
      if (gradient.defined()) pending.push_back({&group, &parameter, gradient});
    }
  }
  Update(pending, gradient_scale);
}

void Optimizer::SetLrFactor(double factor) {
  for (Group& group : groups_) group.options["lr"] = group.base_lr * factor;
}

at::Tensor& Optimizer::Slot(const NamedParameter& parameter, const char* slot) {
  at::Tensor& tensor = slots_[parameter.tensor.unsafeGetTensorImpl()][slot];
  if (!tensor.defined()) tensor = at::zeros_like(parameter.tensor);
  return tensor;
}

bool Optimizer::HasSlot(const NamedParameter& parameter, const char* slot) const {
  const auto slots = slots_.find(parameter.tensor.unsafeGetTensorImpl());
  return slots != slots_.end() && slots->second.count(slot) > 0;
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

absl::Status Optimizer::LoadState(const std::vector<NamedParameter>& tensors, int64_t steps) {
  std::map<std::string, const NamedParameter*> by_name;
  for (const Group& group : groups_) {
    for (const NamedParameter& parameter : group.parameters) by_name[parameter.name] = &parameter;
  }
  std::map<const void*, std::map<std::string, at::Tensor>> slots;
  const at::NoGradGuard no_grad;
  for (const NamedParameter& state : tensors) {
    const size_t slash = state.name.find('/');
    const auto found = slash == std::string::npos ? by_name.end() : by_name.find(state.name.substr(slash + 1));
    if (found == by_name.end())
      return WeightsError(absl::StrCat(name_, ": the state '", state.name, "' is of no parameter of this optimiser"));
    const at::Tensor& parameter = found->second->tensor;
    const std::string slot = state.name.substr(0, slash);
    if (slot == "step" ? state.tensor.numel() != 1 : state.tensor.sizes() != parameter.sizes()) {
      return WeightsError(absl::StrCat(name_, ": the state '", state.name, "' has ", state.tensor.numel(),
                                       " elements in another shape than its parameter"));
    }
    slots[parameter.unsafeGetTensorImpl()][slot] =
        slot == "step" ? state.tensor.to(c10::kDouble).clone() : at::empty_like(parameter).copy_(state.tensor);
  }
  slots_ = std::move(slots);
  steps_ = steps;
  return absl::OkStatus();
}

double GradientNorm(const std::vector<NamedParameter>& parameters) {
  std::vector<at::Tensor> gradients;
  for (const NamedParameter& parameter : parameters) gradients.push_back(parameter.tensor.grad());
  return std::sqrt(SquareSum(gradients));
}

double ClipScale(double max_norm, double norm) { return std::min(1.0, max_norm / (norm + 1e-6)); }

void ClipNorm(const std::vector<NamedParameter>& parameters, double max_norm, double norm) {
  const double scale = ClipScale(max_norm, norm);
  if (scale == 1) return;
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
