#include "engine/tscore/tally.h"

#include <cmath>

#include "absl/strings/str_format.h"
#include "engine/base/square_sum.h"

namespace lanthorn::tscore {

Tally::Stamp Tally::StampOf(const NamedParameter& parameter) {
  const at::Tensor& gradient = parameter.tensor.grad();
  if (!gradient.defined()) return {};
  return {gradient.unsafeGetTensorImpl(), gradient._version()};
}

Recorder::Ptr Tally::Open(const std::vector<NamedParameter>& parameters, int64_t samples) {
  before_.clear();
  for (const NamedParameter& parameter : parameters) before_.push_back(StampOf(parameter));
  return Recorder::Open(samples);
}

absl::Status Tally::Add(Recorder* recorder, const std::vector<NamedParameter>& parameters, bool verify) {
  before_.resize(parameters.size());
  parameter_q_.resize(parameters.size(), 0.0);
  std::vector<bool> received;
  for (size_t p = 0; p < parameters.size(); ++p) {
    received.push_back(parameters[p].tensor.requires_grad() && !(StampOf(parameters[p]) == before_[p]));
  }
  LANTHORN_ASSIGN_OR_RETURN(const Recorder::Squares squares, recorder->Collect(parameters, received, verify && first_));
  sample_sq_.insert(sample_sq_.end(), squares.samples.begin(), squares.samples.end());
  for (size_t p = 0; p < parameters.size(); ++p) parameter_q_[p] += squares.parameters[p];
  first_ = false;
  return absl::OkStatus();
}

void Tally::Scale(double factor) {
  for (std::vector<double>* squares : {&sample_sq_, &parameter_q_}) {
    for (double& square : *squares) square *= factor * factor;
  }
}

absl::StatusOr<Score> Tally::Finish(const std::vector<NamedParameter>& parameters) const {
  // Norms of gradients and parameters in one pass.
  std::vector<at::Tensor> gradients, tensors;
  for (const NamedParameter& parameter : parameters) {
    const bool trained = parameter.tensor.requires_grad();
    gradients.push_back(trained ? parameter.tensor.grad() : at::Tensor());
    tensors.push_back(trained ? parameter.tensor : at::Tensor());
  }
  tensors.insert(tensors.begin(), gradients.begin(), gradients.end());
  const std::vector<double> squares = SquareSums(tensors);
  double s = 0, q = 0, theta_sq = 0;
  std::vector<Part> parts;
  for (size_t p = 0; p < parameters.size(); ++p) {
    s += squares[p];
    theta_sq += squares[parameters.size() + p];
    if (grouping_ != Grouping::kNone && gradients[p].defined())
      parts.push_back({parameters[p].name, squares[p], parameter_q_[p], squares[parameters.size() + p]});
  }
  for (double square : sample_sq_) q += square;
  const int64_t n = static_cast<int64_t>(sample_sq_.size());
  Score score = Compute(s, q, n, std::sqrt(theta_sq));
  if (score.raw < -1e-3) {  // S <= N Q always, so some samples were not seen
    return ConfigError(
        absl::StrFormat("tscore: the reported samples cannot make up the gradient (T would be %.3g): some part of the "
                        "loss uses parameters "
                        "outside of layers with a sampler, such as a penalty on weights; use tscore.mode='loop'",
                        score.raw));
  }
  score.method = "exact";
  score.sample_sq = sample_sq_;
  score.groups = ScoreGroups(grouping_, parts, n);
  SetNoise(/*own=*/static_cast<double>(n), &score);
  return score;
}

}  // namespace lanthorn::tscore
