// Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019), the update of PyTorch:
//   m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2,  p -= lr / (1 - b1^t) m / (sqrt(v) / sqrt(1 - b2^t) + eps)
// Adam adds weight_decay p to g; AdamW first scales p by 1 - lr weight_decay.
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "engine/optim/flat.h"
#include "engine/optim/optimizer.h"

namespace lanthorn::optim {
namespace {

class Adam final : public Optimizer {
 public:
  Adam(std::string name, bool decoupled) : Optimizer(std::move(name)), decoupled_(decoupled) {}
  int64_t SlotsPerElement() const override { return 2; }
  bool Extrapolates() const override { return true; }

  void Extrapolate(double gamma, int64_t steps) override {
    const at::NoGradGuard no_grad;
    std::vector<kernels::AdamTensor> flat;
    for (const Group& group : groups()) {
      const Options& o = group.options;
      const double beta1 = o.at("beta1"), decayed = std::pow(beta1, static_cast<double>(steps));
      double sum = 0;  // of gamma^j beta1^j: what the update adds up to, times the first moment
      for (int64_t j = 1; j <= steps; ++j) sum += std::pow(gamma * beta1, static_cast<double>(j));
      if (sum == 0) continue;
      for (const NamedParameter& parameter : group.parameters) {
        if (!HasSlot(parameter, "exp_avg")) continue;
        const double t = Slot(parameter, "step").item<double>();
        const double rate = o.at("lr") * sum / (1 - std::pow(beta1, t)),
                     correction2 = std::sqrt(1 - std::pow(o.at("beta2"), t));
        at::Tensor p = parameter.tensor;
        at::Tensor &m = Slot(parameter, "exp_avg"), &v = Slot(parameter, "exp_avg_sq");
        if (kernels::IsFlat({p, m, v})) {
          // An update whose gradient counts nothing: p stands for it.
          flat.push_back({FlatTensor(p, p, 0, 0, {0, 0, p.numel()}), m.data_ptr<float>(), v.data_ptr<float>(), 1,
                          F(decayed), 0, 1, 0, F(rate / decayed), F(1 / correction2), F(o.at("eps"))});
          continue;
        }
        p.addcdiv_(m, v.sqrt().div_(correction2).add_(o.at("eps")), -rate);
        m.mul_(decayed);
      }
    }
    kernels::AdamUpdate(flat);
  }

 protected:
  void Update(const std::vector<Pending>& all, double scale) override {
    std::vector<kernels::AdamTensor> flat;
    for (const Pending& one : all) {
      const Options& o = one.group->options;
      const double lr = o.at("lr"), beta1 = o.at("beta1"), beta2 = o.at("beta2"), decay = o.at("weight_decay");
      const at::Tensor counts = CountUpdate(one);  // its own count: a parameter may join late
      const double keep = decoupled_ ? 1 - lr * decay : 1, l2 = decoupled_ ? 0 : decay;
      const auto rate = [&](double t) { return lr / (1 - std::pow(beta1, t)); };
      const auto correction2 = [&](double t) { return std::sqrt(1 - std::pow(beta2, t)); };
      at::Tensor p = one.parameter->tensor, g = one.gradient;
      at::Tensor& m = Slot(*one.parameter, "exp_avg");
      at::Tensor& v = Slot(*one.parameter, "exp_avg_sq");
      if (kernels::IsFlat({p, g, m, v})) {
        const double* t = counts.data_ptr<double>();
        for (const Slice& slice : Slices(one.mask, p)) {
          const double count = t[counts.numel() == 1 ? 0 : slice.index];
          flat.push_back({FlatTensor(p, g, scale, l2, slice), m.data_ptr<float>() + slice.begin,
                          v.data_ptr<float>() + slice.begin, F(keep), F(beta1), F(1 - beta1), F(beta2), F(1 - beta2),
                          F(rate(count)), F(1 / correction2(count)), F(o.at("eps"))});
        }
        continue;
      }
      MaskedUpdate masked(one.mask, p, g, {m, v});
      g = Scaled(g, scale, one.mask);
      if (keep != 1) p.mul_(keep);
      if (l2 != 0) g = g.add(p, l2);
      m.mul_(beta1).add_(g, 1 - beta1);
      v.mul_(beta2).addcmul_(g, g, 1 - beta2);
      if (counts.dim() == 0) {
        const double t = *counts.data_ptr<double>();
        p.addcdiv_(m, v.sqrt().div_(correction2(t)).add_(o.at("eps")), -rate(t));
      } else {
        const at::Tensor rates = lr / (1 - at::pow(beta1, counts)), roots = (1 - at::pow(beta2, counts)).sqrt();
        p.sub_(PerSlice(rates, p) * m / (v.sqrt().div_(PerSlice(roots, p)).add_(o.at("eps"))));
      }
      masked.Finish();
    }
    kernels::AdamUpdate(flat);
  }

 private:
  bool decoupled_;
};

const RegisterOptimizer adam(
    {"Adam(float lr=0.001, float beta1=0.9, float beta2=0.999, float eps=1e-08, float weight_decay=0.)",
     "Adam; weight decay is added to the gradient.", [] { return std::make_unique<Adam>("Adam", false); }});
const RegisterOptimizer adamw(
    {"AdamW(float lr=0.001, float beta1=0.9, float beta2=0.999, float eps=1e-08, float weight_decay=0.01)",
     "Adam with decoupled weight decay.", [] { return std::make_unique<Adam>("AdamW", true); }});

}  // namespace
}  // namespace lanthorn::optim
