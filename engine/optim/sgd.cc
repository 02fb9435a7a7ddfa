// Stochastic gradient descent with momentum, the update of PyTorch: the first step sets the momentum buffer to g.
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "engine/optim/flat.h"
#include "engine/optim/optimizer.h"

namespace lanthorn::optim {
namespace {

class Sgd final : public Optimizer {
 public:
  Sgd() : Optimizer("SGD") {}
  int64_t SlotsPerElement() const override { return Uses("momentum") ? 1 : 0; }
  bool Extrapolates() const override { return Uses("momentum"); }

  void Extrapolate(double gamma, int64_t steps) override {
    const at::NoGradGuard no_grad;
    for (const Group& group : groups()) {
      const double momentum = group.options.at("momentum");
      double sum = 0;
      for (int64_t j = 1; j <= steps; ++j) sum += std::pow(gamma * momentum, static_cast<double>(j));
      for (const NamedParameter& parameter : group.parameters) {
        if (!HasSlot(parameter, "momentum_buffer")) continue;
        at::Tensor p = parameter.tensor;
        at::Tensor& buffer = Slot(parameter, "momentum_buffer");
        p.add_(buffer, -group.options.at("lr") * sum);
        buffer.mul_(std::pow(momentum, static_cast<double>(steps)));
      }
    }
  }

 protected:
  void Update(const std::vector<Pending>& all, double scale) override {
    std::vector<kernels::SgdTensor> flat;
    for (const Pending& one : all) {
      const Options& o = one.group->options;
      const double lr = o.at("lr"), momentum = o.at("momentum"), decay = o.at("weight_decay");
      const bool nesterov = o.at("nesterov") != 0;
      at::Tensor p = one.parameter->tensor, g = one.gradient, buffer;
      double take = 1;
      if (momentum != 0) {
        // Zeros at first, so the first step is not dampened: PyTorch starts from the bare gradient.
        if (HasSlot(*one.parameter, "momentum_buffer")) take = 1 - o.at("dampening");
        buffer = Slot(*one.parameter, "momentum_buffer");
      }
      if (kernels::IsFlat({p, g, buffer.defined() ? buffer : p})) {
        for (const Slice& slice : Slices(one.mask, p)) {
          flat.push_back({FlatTensor(p, g, scale, decay, slice),
                          buffer.defined() ? buffer.data_ptr<float>() + slice.begin : nullptr, F(lr), F(momentum),
                          F(take), nesterov});
        }
        continue;
      }
      MaskedUpdate masked(one.mask, p, g, {buffer});
      g = Scaled(g, scale, one.mask);
      if (decay != 0) g = g.add(p, decay);
      if (buffer.defined()) {
        buffer.mul_(momentum).add_(g, take);
        g = nesterov ? g.add(buffer, momentum) : buffer;
      }
      p.add_(g, -lr);
      masked.Finish();
    }
    kernels::SgdUpdate(flat);
  }
};

const RegisterOptimizer sgd(
    {"SGD(float lr=0.001, float momentum=0., float dampening=0., float weight_decay=0., bool nesterov=False)",
     "Gradient descent with momentum.", [] { return std::make_unique<Sgd>(); }});

}  // namespace
}  // namespace lanthorn::optim
