// Initial values that several layers share, as torch.nn draws them.
#pragma once

#include <ATen/core/Tensor.h>

namespace lanthorn::nn {

// Inputs of one output: the product of all sizes of a weight but the first.
int64_t FanIn(const at::Tensor& weight);

// kaiming_uniform_(a=sqrt(5)): U(-1/sqrt(fan_in), 1/sqrt(fan_in)), with the bound rounded as PyTorch rounds it.
void KaimingUniform(const at::Tensor& weight);

// U(-1/sqrt(fan_in), 1/sqrt(fan_in)).
void UniformByFanIn(const at::Tensor& tensor, int64_t fan_in);

}  // namespace lanthorn::nn
