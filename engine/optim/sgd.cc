// Stochastic gradient descent with momentum, the update of PyTorch: the first step sets the momentum buffer to g.
#include <ATen/Functions.h>

#include <set>

#include "engine/optim/optimizer.h"

namespace lanthorn::optim {
namespace {

class Sgd final : public Optimizer {
 public:
  Sgd() : Optimizer("SGD") {}
  int64_t SlotsPerElement() const override { return 1; }

 protected:
  void Update(const Group& group, const NamedParameter& parameter, const at::Tensor& gradient) override {
    const Options& o = group.options;
    at::Tensor p = parameter.tensor, g = gradient;
    if (o.at("weight_decay") != 0) g = g.add(p, o.at("weight_decay"));
    if (const double momentum = o.at("momentum"); momentum != 0) {
      at::Tensor& buffer = Slot(parameter, "momentum_buffer");
      // Zeros at first, so the dampening of the first step is undone: PyTorch starts from the bare gradient.
      const bool first = started_.insert(parameter.tensor.unsafeGetTensorImpl()).second;
      buffer.mul_(momentum).add_(g, first ? 1.0 : 1 - o.at("dampening"));
      g = o.at("nesterov") != 0 ? g.add(buffer, momentum) : buffer;
    }
    p.add_(g, -o.at("lr"));
  }

 private:
  std::set<const void*> started_;
};

const RegisterOptimizer sgd(
    {"SGD(float lr=0.001, float momentum=0., float dampening=0., float weight_decay=0., bool nesterov=False)",
     "Gradient descent with momentum.", [] { return std::make_unique<Sgd>(); }});

}  // namespace
}  // namespace lanthorn::optim
