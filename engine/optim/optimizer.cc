#include "engine/optim/optimizer.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <set>

#include "absl/strings/match.h"
#include "engine/base/square_sum.h"

namespace lanthorn::optim {
namespace {
constexpr absl::string_view kMaskState = "select/";
}

bool Optimizer::Uses(const std::string& option) const {
  for (const Group& group : groups_) {
    if (group.options.at(option) != 0) return true;
  }
  return false;
}

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

void Optimizer::Step(double gradient_scale, const std::vector<int64_t>& domains) {
  at::NoGradGuard no_grad;
  ++steps_;
  std::vector<Pending> pending;
  for (const Group& group : groups_) {
    for (const NamedParameter& parameter : group.parameters) {
      const at::Tensor& gradient = parameter.tensor.grad();
      if (gradient.defined()) pending.push_back({&group, &parameter, gradient});
    }
  }
  if (mask_ != nullptr) {
    std::vector<NamedParameter> parameters;
    for (const Pending& one : pending) parameters.push_back(*one.parameter);
    mask_->Prepare(parameters, domains);
    for (Pending& one : pending) one.mask = mask_->Of(*one.parameter);
  }
  if (mask_ == nullptr || !mask_->IsHeld()) Update(pending, gradient_scale);
  if (mask_ != nullptr) mask_->Finish();
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

at::Tensor Optimizer::CountUpdate(const Pending& one) {
  const at::Tensor& p = one.parameter->tensor;
  at::Tensor& count = slots_[p.unsafeGetTensorImpl()]["step"];
  const bool each = one.mask.lazy && one.mask.factors.defined();
  if (!count.defined()) {
    count = each ? at::zeros({one.mask.factors.numel()}, p.options().dtype(c10::kDouble)) : at::zeros({}, c10::kDouble);
  }
  const at::Tensor& ok = one.mask.ok;
  if (!ok.defined()) return each ? count.add_(one.mask.factors.gt(0)) : count.add_(1);
  if (count.dim() == 0) count = count.to(p.device()).reshape({1});
  return each ? count.add_(one.mask.factors.gt(0) * ok) : count.add_(ok);
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
  if (mask_ != nullptr) {
    for (const NamedParameter& state : mask_->State())
      found.push_back({std::string(kMaskState) + state.name, state.tensor});
  }
  return found;
}

absl::Status Optimizer::LoadState(const std::vector<NamedParameter>& tensors, int64_t steps) {
  std::map<std::string, const NamedParameter*> by_name;
  for (const Group& group : groups_) {
    for (const NamedParameter& parameter : group.parameters) by_name[parameter.name] = &parameter;
  }
  std::map<const void*, std::map<std::string, at::Tensor>> slots;
  std::vector<NamedParameter> of_mask;
  const at::NoGradGuard no_grad;
  for (const NamedParameter& state : tensors) {
    if (mask_ != nullptr && absl::StartsWith(state.name, kMaskState)) {
      of_mask.push_back({state.name.substr(kMaskState.size()), state.tensor});
      continue;
    }
    const size_t slash = state.name.find('/');
    const auto found = slash == std::string::npos ? by_name.end() : by_name.find(state.name.substr(slash + 1));
    if (found == by_name.end())
      return WeightsError(absl::StrCat(name_, ": the state '", state.name, "' matches no parameter of this optimiser"));
    const at::Tensor& parameter = found->second->tensor;
    const std::string slot = state.name.substr(0, slash);
    const bool each = slot == "step" && state.tensor.dim() == 1;
    const int64_t slices = parameter.dim() > 0 ? parameter.size(0) : 1;
    if (each ? state.tensor.numel() != slices && state.tensor.numel() != 1
             : state.tensor.sizes() != (slot == "step" ? at::IntArrayRef() : parameter.sizes())) {
      return WeightsError(absl::StrCat(name_, ": the state '", state.name, "' of ", state.tensor.numel(),
                                       " elements does not have the shape of its parameter"));
    }
    slots[parameter.unsafeGetTensorImpl()][slot] =
        slot == "step" ? state.tensor.to(each ? parameter.device() : c10::kCPU, c10::kDouble, false, /*copy=*/true)
                       : at::empty_like(parameter).copy_(state.tensor);
  }
  if (mask_ != nullptr) LANTHORN_RETURN_IF_ERROR(mask_->LoadState(of_mask));
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

void ClipEach(const std::vector<NamedParameter>& parameters, double max_norm) {
  for (const NamedParameter& parameter : parameters) ClipNorm({parameter}, max_norm, GradientNorm({parameter}));
}

void ClipValue(const std::vector<NamedParameter>& parameters, double limit) {
  at::NoGradGuard no_grad;
  for (const NamedParameter& parameter : parameters) {
    if (parameter.tensor.grad().defined()) parameter.tensor.mutable_grad().clamp_(-limit, limit);
  }
}

absl::Status CheckOptions(const std::string& name, const Options& options) {
  const auto given = [&](const char* option) {
    const auto found = options.find(option);
    return found != options.end() ? found->second : 0;
  };
  const auto refuse = [&](const auto&... text) { return ConfigError(absl::StrCat("optim.", name, ": ", text...)); };
  for (const char* option : {"lr", "weight_decay", "eps", "momentum"}) {
    if (!(given(option) >= 0)) return refuse(option, " must not be negative, got ", given(option));
  }
  for (const char* option : {"beta1", "beta2", "alpha"}) {
    if (!(given(option) >= 0 && given(option) < 1)) return refuse(option, " must be in [0, 1), got ", given(option));
  }
  if (given("nesterov") != 0 && (given("momentum") == 0 || given("dampening") != 0)) {
    return refuse("nesterov looks ahead along the momentum, and needs momentum above 0 and no dampening, got momentum ",
                  given("momentum"), " and dampening ", given("dampening"));
  }
  return absl::OkStatus();
}

}  // namespace lanthorn::optim
