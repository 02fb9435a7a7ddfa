// Activation checkpointing (Chen et al. 2016): a transformer block keeps its input alone, and the backward computes the
// rest again, one block at a time. The same operations on the same numbers, so every gradient has the same bits.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace lanthorn::kernels {

// While one lives, blocks whose forward begins on this thread compute again what they did not keep, if `on`.
class RecomputeScope {
 public:
  explicit RecomputeScope(bool on);
  ~RecomputeScope();
  RecomputeScope(const RecomputeScope&) = delete;
  RecomputeScope& operator=(const RecomputeScope&) = delete;

 private:
  bool before_;
};
bool Recomputing();

// f(x), which depends on x, on the parameters and on nothing that changes until the backward; it draws no random
// numbers. Undefined parameters are left out. No second derivative.
using RecomputedFunction = std::function<at::Tensor(const at::Tensor& x)>;
at::Tensor Recomputed(const at::Tensor& x, const std::vector<at::Tensor>& parameters, const RecomputedFunction& f);

}  // namespace lanthorn::kernels
