// RMSprop (Tieleman and Hinton 2012), the update of PyTorch:
//   v = alpha v + (1 - alpha) g^2,  p -= lr g / (sqrt(v) + eps); centred: v - mean(g)^2; with momentum over the
//   quotient.
#include <ATen/Functions.h>

#include "engine/optim/flat.h"
#include "engine/optim/optimizer.h"

namespace lanthorn::optim {
namespace {

class RmsProp final : public Optimizer {
 public:
  RmsProp() : Optimizer("RMSprop") {}
  int64_t SlotsPerElement() const override { return 1 + (Uses("momentum") ? 1 : 0) + (Uses("centered") ? 1 : 0); }

 protected:
  void Update(const std::vector<Pending>& all, double scale) override {
    std::vector<kernels::RmsPropTensor> flat;
    const auto data = [](const at::Tensor& slot, const Slice& slice) {
      return slot.defined() ? slot.data_ptr<float>() + slice.begin : nullptr;
    };
    for (const Pending& one : all) {
      const Options& o = one.group->options;
      const double lr = o.at("lr"), alpha = o.at("alpha"), eps = o.at("eps"), decay = o.at("weight_decay");
      const double momentum = o.at("momentum");
      at::Tensor p = one.parameter->tensor, g = one.gradient, mean, buffer;
      at::Tensor& square = Slot(*one.parameter, "square_avg");
      if (o.at("centered") != 0) mean = Slot(*one.parameter, "grad_avg");
      if (momentum != 0) buffer = Slot(*one.parameter, "momentum_buffer");
      if (kernels::IsFlat({p, g, square, mean.defined() ? mean : p, buffer.defined() ? buffer : p})) {
        for (const Slice& slice : Slices(one.mask, p)) {
          flat.push_back({FlatTensor(p, g, scale, decay, slice), data(square, slice), data(mean, slice),
                          data(buffer, slice), F(lr), F(alpha), F(1 - alpha), F(eps), F(momentum)});
        }
        continue;
      }
      MaskedUpdate masked(one.mask, p, g, {square, mean, buffer});
      g = Scaled(g, scale, one.mask);
      if (decay != 0) g = g.add(p, decay);
      square.mul_(alpha).addcmul_(g, g, 1 - alpha);
      at::Tensor denominator = square;
      if (mean.defined()) {
        mean.mul_(alpha).add_(g, 1 - alpha);
        denominator = square.addcmul(mean, mean, -1);
      }
      denominator = denominator.sqrt().add_(eps);
      if (buffer.defined()) {
        buffer.mul_(momentum).addcdiv_(g, denominator);
        p.add_(buffer, -lr);
      } else {
        p.addcdiv_(g, denominator, -lr);
      }
      masked.Finish();
    }
    kernels::RmsPropUpdate(flat);
  }
};

const RegisterOptimizer rmsprop(
    {"RMSprop(float lr=0.01, float alpha=0.99, float eps=1e-08, float weight_decay=0., float momentum=0., bool "
     "centered=False)",
     "Gradient over the root of a running mean of its square.", [] { return std::make_unique<RmsProp>(); }});

}  // namespace
}  // namespace lanthorn::optim
