// The obviously correct T-Score: one backward per sample.
#pragma once

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <functional>

#include "engine/nn/module.h"
#include "engine/tscore/recorder.h"
#include "engine/tscore/score.h"

namespace lanthorn::tscore {

// The summed loss of the samples [first, first + count).
using SampleLoss = std::function<at::Tensor(int64_t first, int64_t count)>;

inline Score LoopScore(nn::Module& model, int64_t samples, const SampleLoss& loss) {
  const auto parameters = model.Parameters();
  std::vector<at::Tensor> sums(parameters.size());
  std::vector<double> sample_sq;
  double q = 0, s = 0, theta_sq = 0;
  for (int64_t i = 0; i < samples; ++i) {
    model.ZeroGrad();
    loss(i, 1).backward();
    double square = 0;
    for (size_t p = 0; p < parameters.size(); ++p) {
      const at::Tensor gradient = parameters[p].tensor.grad();
      if (!gradient.defined()) continue;
      const at::Tensor wide = gradient.to(c10::kDouble).clone();
      square += wide.square().sum().item<double>();
      sums[p] = sums[p].defined() ? sums[p] + wide : wide;
    }
    sample_sq.push_back(square);
    q += square;
  }
  for (size_t p = 0; p < parameters.size(); ++p) {
    if (sums[p].defined()) s += sums[p].square().sum().item<double>();
    theta_sq += parameters[p].tensor.detach().to(c10::kDouble).square().sum().item<double>();
  }
  model.ZeroGrad();
  Score score = Compute(s, q, samples, std::sqrt(theta_sq));
  score.method = "loop";
  score.sample_sq = sample_sq;
  return score;
}

// The same through a recorder.
inline absl::StatusOr<Score> ExactScore(nn::Module& model, int64_t samples, const SampleLoss& loss,
                                        bool verify = true) {
  model.ZeroGrad();
  const Recorder::Ptr recorder = Recorder::Open(samples);
  const at::Tensor total = loss(0, samples);
  recorder->Close();
  total.backward();
  return recorder->Finish(model.Parameters(), verify);
}

}  // namespace lanthorn::tscore
