// RMSprop (Tieleman and Hinton 2012), the update of PyTorch:
//   v = alpha v + (1 - alpha) g^2,  p -= lr g / (sqrt(v) + eps); centred: v - mean(g)^2; with momentum over the
//   quotient.
#include <ATen/Functions.h>

#include "engine/optim/optimizer.h"

namespace lanthorn::optim {
namespace {

class RmsProp final : public Optimizer {
 public:
  RmsProp() : Optimizer("RMSprop") {}
  int64_t SlotsPerElement() const override { return 1; }

 protected:
  void Update(const Group& group, const NamedParameter& parameter, const at::Tensor& gradient) override {
    const Options& o = group.options;
    const double alpha = o.at("alpha");
    at::Tensor p = parameter.tensor, g = gradient;
    if (o.at("weight_decay") != 0) g = g.add(p, o.at("weight_decay"));
    at::Tensor& square = Slot(parameter, "square_avg");
    square.mul_(alpha).addcmul_(g, g, 1 - alpha);
    at::Tensor denominator = square;
    if (o.at("centered") != 0) {
      at::Tensor& mean = Slot(parameter, "grad_avg");
      mean.mul_(alpha).add_(g, 1 - alpha);
      denominator = square.addcmul(mean, mean, -1);
    }
    denominator = denominator.sqrt().add_(o.at("eps"));
    if (const double momentum = o.at("momentum"); momentum != 0) {
      at::Tensor& buffer = Slot(parameter, "momentum_buffer");
      buffer.mul_(momentum).addcdiv_(g, denominator);
      p.add_(buffer, -o.at("lr"));
    } else {
      p.addcdiv_(g, denominator, -o.at("lr"));
    }
  }
};

const RegisterOptimizer rmsprop(
    {"RMSprop(float lr=0.01, float alpha=0.99, float eps=1e-08, float weight_decay=0., float momentum=0., bool "
     "centered=False)",
     "Gradient over the root of a running mean of its square.", [] { return std::make_unique<RmsProp>(); }});

}  // namespace
}  // namespace lanthorn::optim
