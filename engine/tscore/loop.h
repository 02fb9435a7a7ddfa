// T-Score by N backward passes, one sample each: the oracle of the samplers, and the way for models that have none.
#pragma once

#include <functional>
#include <vector>

#include "engine/tscore/groups.h"
#include "engine/tscore/recorder.h"

namespace lanthorn::tscore {

// Takes the gradients away while one lives and puts them back at its end, however that comes.
class GradientsAside {
 public:
  explicit GradientsAside(std::vector<NamedParameter> parameters);
  ~GradientsAside();
  GradientsAside(const GradientsAside&) = delete;
  GradientsAside& operator=(const GradientsAside&) = delete;

  const std::vector<NamedParameter>& parameters() const { return parameters_; }
  // Sets all gradients to undefined.
  void Clear() const;

 private:
  std::vector<NamedParameter> parameters_;
  std::vector<at::Tensor> kept_;
};

// The loss of sample i alone, a scalar with a graph, and how much it counts: its number of targets, where they differ.
// One that counts 0 has no gradient and needs no loss.
struct WeightedLoss {
  at::Tensor loss;
  double weight = 1;
};
using SampleLoss = std::function<absl::StatusOr<WeightedLoss>(int64_t)>;

// The score over `samples` losses, each times its weight over the mean weight, accumulated in float64. The parameters'
// gradients are as before afterwards. An error of `loss` is passed on.
absl::StatusOr<Score> LoopScore(const std::vector<NamedParameter>& parameters, int64_t samples, const SampleLoss& loss,
                                Grouping grouping = Grouping::kNone);

}  // namespace lanthorn::tscore
