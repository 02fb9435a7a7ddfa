// Layers one after the other, under names of their own: the native form of a model without branches.
#pragma once

#include "engine/nn/module.h"

namespace lanthorn::nn {

class Sequential final : public Module {
 public:
  explicit Sequential(std::string kind = "Sequential") : Module(std::move(kind)) {}
  // Feeds each child with the output of the one before; splits and rejoins the state among the stateful children.
  at::Tensor Compute(const at::Tensor& input, State* state) override;
  int64_t StateSize() const override;
  // Those of the last child.
  std::optional<Head> LinearHead() const override;
  at::Tensor Features(const at::Tensor& input, State* state) override;

 protected:
  bool DecodesItself() const override { return true; }

 private:
  // Through all children, of the last one its features only when `split`.
  at::Tensor Through(const at::Tensor& input, State* state, bool split);
};

}  // namespace lanthorn::nn
