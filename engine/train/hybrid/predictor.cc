#include "engine/train/hybrid/predictor.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "absl/strings/match.h"
#include "engine/base/random_stream.h"

namespace lanthorn::train {
namespace {

constexpr char kBefore[] = "before/", kMean[] = "mean/";

// The length of what was added since.
double Distance(const std::vector<nn::NamedParameter>& parameters, const std::vector<at::Tensor>& before) {
  double squares = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    const double norm = (parameters[i].tensor.detach() - before[i]).norm().item<double>();
    squares += norm * norm;
  }
  return std::sqrt(squares);
}

}  // namespace

absl::Status Predictor::Check(const HybridOptions& options, const optim::Optimizer& optimizer) {
  if (options.arm != "extrapolate" || optimizer.Extrapolates()) return absl::OkStatus();
  return ConfigError(absl::StrCat("hybrid: arm extrapolate goes on by moments, and ", optimizer.name(),
                                  " has none here; use adam, adamw, or sgd with momentum, or arm=linear_fit"));
}

Predictor::Predictor(const HybridOptions& options, std::vector<nn::NamedParameter> parameters,
                     std::shared_ptr<optim::Optimizer> optimizer)
    : options_(options), optimizer_(std::move(optimizer)) {
  for (nn::NamedParameter& parameter : parameters) {
    if (parameter.tensor.requires_grad()) parameters_.push_back(std::move(parameter));
  }
}

void Predictor::BeginBlock() {
  if (!fits()) return;
  updates_ = 0;
  mean_.clear();
  for (const nn::NamedParameter& parameter : parameters_) mean_.push_back(parameter.tensor.detach().clone());
}

// With E the mean of the weights, decay rho, from their values at the beginning on, theta - E is rho / (1 - rho) times
// the same mean of the updates: one copy is enough.
void Predictor::AfterUpdate() {
  if (!fits() || mean_.empty()) return;
  const at::NoGradGuard no_grad;
  ++updates_;
  for (size_t i = 0; i < mean_.size(); ++i) mean_[i].lerp_(parameters_[i].tensor.detach(), 1 - options_.rho);
}

double Predictor::Predict(int64_t steps, int64_t block) {
  const at::NoGradGuard no_grad;
  before_.clear();
  for (const nn::NamedParameter& parameter : parameters_) before_.push_back(parameter.tensor.detach().clone());
  if (options_.arm == "extrapolate") {
    optimizer_->Extrapolate(options_.gamma, steps);
  } else if (fits() && updates_ > 0) {
    Extend(steps, block);
  }
  return Distance(parameters_, before_);
}

void Predictor::Extend(int64_t steps, int64_t block) {
  const double rho = options_.rho;
  double sum = 0;
  for (int64_t j = 1; j <= steps; ++j) sum += std::pow(options_.gamma, static_cast<double>(j));
  const double corrected = (1 - rho) / rho / (1 - std::pow(rho, static_cast<double>(updates_)));
  for (size_t i = 0; i < mean_.size(); ++i) {
    const at::Tensor p = parameters_[i].tensor.detach();
    at::Tensor u = (p - mean_[i]).mul_(sum * corrected);
    if (options_.arm == "random_dir") {
      std::mt19937_64 stream = RandomStream({static_cast<uint64_t>(options_.seed), static_cast<uint64_t>(block), i});
      const at::Generator generator = at::detail::createCPUGenerator(stream());
      u.mul_(at::randint(0, 2, p.sizes(), generator, p.options().device(c10::kCPU)).to(p.device()).mul_(2).sub_(1));
    }
    p.add_(u);
  }
}

void Predictor::Restore() {
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < before_.size(); ++i) parameters_[i].tensor.detach().copy_(before_[i]);
  before_.clear();
}

std::vector<nn::NamedParameter> Predictor::Tensors() const {
  std::vector<nn::NamedParameter> all;
  for (size_t i = 0; i < before_.size(); ++i) all.push_back({kBefore + parameters_[i].name, before_[i]});
  for (size_t i = 0; i < mean_.size(); ++i) all.push_back({kMean + parameters_[i].name, mean_[i]});
  return all;
}

absl::Status Predictor::Load(const std::vector<nn::NamedParameter>& tensors, int64_t updates) {
  std::vector<at::Tensor> before(parameters_.size()), mean(parameters_.size());
  bool has_before = false, has_mean = false;
  for (const nn::NamedParameter& one : tensors) {
    bool found = false;
    for (size_t i = 0; i < parameters_.size() && !found; ++i) {
      const bool is_before = one.name == kBefore + parameters_[i].name;
      found = is_before || one.name == kMean + parameters_[i].name;
      if (!found) continue;
      if (one.tensor.sizes() != parameters_[i].tensor.sizes())
        return WeightsError(absl::StrCat("hybrid: '", one.name, "' does not have the shape of its parameter"));
      (is_before ? has_before : has_mean) = true;
      (is_before ? before : mean)[i] = at::empty_like(parameters_[i].tensor).detach().copy_(one.tensor);
    }
    if (!found) return WeightsError(absl::StrCat("hybrid: '", one.name, "' matches no trained parameter"));
  }
  before_ = has_before ? std::move(before) : std::vector<at::Tensor>();
  mean_ = has_mean ? std::move(mean) : std::vector<at::Tensor>();
  updates_ = updates;
  return absl::OkStatus();
}

}  // namespace lanthorn::train
