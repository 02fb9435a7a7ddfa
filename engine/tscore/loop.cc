#include "engine/tscore/loop.h"

#include <ATen/Functions.h>

#include <cmath>

namespace lanthorn::tscore {

GradientsAside::GradientsAside(std::vector<NamedParameter> parameters) : parameters_(std::move(parameters)) {
  for (const NamedParameter& parameter : parameters_) kept_.push_back(parameter.tensor.grad());
  Clear();
}

GradientsAside::~GradientsAside() {
  for (size_t p = 0; p < kept_.size(); ++p) parameters_[p].tensor.mutable_grad() = kept_[p];
}

void GradientsAside::Clear() const {
  for (const NamedParameter& parameter : parameters_) parameter.tensor.mutable_grad() = at::Tensor();
}

absl::StatusOr<Score> LoopScore(const std::vector<NamedParameter>& parameters, int64_t samples, const SampleLoss& loss,
                                Grouping grouping) {
  const GradientsAside aside(parameters);
  std::vector<at::Tensor> total(parameters.size());
  std::vector<Part> parts;
  for (const NamedParameter& parameter : parameters) parts.push_back({parameter.name});
  std::vector<double> sample_sq;
  double s = 0, q = 0, theta_sq = 0, weights = 0;
  for (int64_t i = 0; i < samples; ++i) {
    aside.Clear();
    LANTHORN_ASSIGN_OR_RETURN(const WeightedLoss sample, loss(i));
    weights += sample.weight;
    double square = 0;
    if (sample.weight > 0) sample.loss.backward();
    for (size_t p = 0; p < parameters.size(); ++p) {
      if (!parameters[p].tensor.grad().defined()) continue;
      const at::Tensor gradient = parameters[p].tensor.grad().to(c10::kDouble).mul(sample.weight);
      const double own = gradient.square().sum().item<double>();
      square += own;
      parts[p].q += own;
      total[p] = total[p].defined() ? total[p] + gradient : gradient;
    }
    sample_sq.push_back(square);
    q += square;
  }
  // The weights count as shares: their mean is 1.
  const double scale = weights > 0 ? std::pow(static_cast<double>(samples) / weights, 2) : 1;
  q *= scale;
  for (double& square : sample_sq) square *= scale;
  std::vector<Part> reached;
  for (size_t p = 0; p < parameters.size(); ++p) {
    parts[p].theta_sq = parameters[p].tensor.detach().to(c10::kDouble).square().sum().item<double>();
    theta_sq += parts[p].theta_sq;
    if (!total[p].defined()) continue;
    parts[p].s = scale * total[p].square().sum().item<double>();
    parts[p].q *= scale;
    s += parts[p].s;
    reached.push_back(parts[p]);
  }
  Score score = Compute(s, q, samples, std::sqrt(theta_sq));
  score.method = "loop";
  score.sample_sq = std::move(sample_sq);
  score.groups = ScoreGroups(grouping, reached, samples);
  SetNoise(/*own=*/1, &score);
  return score;
}

}  // namespace lanthorn::tscore
