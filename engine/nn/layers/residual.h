// y = x + f(x): a path around a layer (He et al. 2015).
#pragma once

#include "engine/nn/module.h"

namespace lanthorn::nn {

class Residual final : public Module {
 public:
  // The layer is its only child, named "fn".
  explicit Residual(std::shared_ptr<Module> layer) : Module("Residual") { AddChild("fn", std::move(layer)); }
  // That of the layer.
  int64_t StateSize() const override;

 protected:
  bool DecodesItself() const override { return true; }
  // The layer must keep the shape: nothing is broadcast.
  at::Tensor Compute(const at::Tensor& input, State* state) override;
};

}  // namespace lanthorn::nn
