#include "engine/nn/init.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

namespace lanthorn::nn {

int64_t FanIn(const at::Tensor& weight) {
  int64_t fan_in = 1;
  for (int64_t d = 1; d < weight.dim(); ++d) fan_in *= weight.size(d);
  return fan_in;
}

void KaimingUniform(const at::Tensor& weight) {
  const double gain = std::sqrt(2.0 / (1 + 5.0)), std_dev = gain / std::sqrt(static_cast<double>(FanIn(weight)));
  const double bound = std::sqrt(3.0) * std_dev;
  const at::NoGradGuard no_grad;
  weight.uniform_(-bound, bound);
}

void UniformByFanIn(const at::Tensor& tensor, int64_t fan_in) {
  const double bound = 1 / std::sqrt(static_cast<double>(fan_in));
  const at::NoGradGuard no_grad;
  tensor.uniform_(-bound, bound);
}

}  // namespace lanthorn::nn
