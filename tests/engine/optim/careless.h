// An optimiser that ignores masks, for tests of what sees that.
#pragma once

#include "engine/optim/optimizer.h"

namespace lanthorn::optim {

class Careless final : public Optimizer {
 public:
  Careless() : Optimizer("Careless") {}
  int64_t SlotsPerElement() const override { return 0; }

 protected:
  void Update(const std::vector<Pending>& all, double) override {
    for (const Pending& one : all) one.parameter->tensor.mul_(1 - one.group->options.at("lr"));
  }
};

}  // namespace lanthorn::optim
