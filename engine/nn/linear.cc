// y = x W^T + b. Initial values as torch.nn.Linear: W and b from U(-1/sqrt(in), 1/sqrt(in)), W first.
#include <ATen/Functions.h>

#include <cmath>

#include "engine/nn/layer.h"
#include "engine/nn/parts.h"
#include "engine/tscore/samplers.h"

namespace lanthorn::nn {
namespace {

class Linear final : public Module {
 public:
  Linear(int64_t in, int64_t out, bool with_bias)
      : Module("Linear"), weight_(RegisterParameter("weight", at::empty({out, in}))) {
    // kaiming_uniform_(a=sqrt(5)), computed in the order PyTorch computes it so that the bound rounds the same way.
    const double gain = std::sqrt(2.0 / (1 + 5.0)), std_dev = gain / std::sqrt(static_cast<double>(in));
    const double bound = std::sqrt(3.0) * std_dev;
    at::NoGradGuard no_grad;
    weight_.uniform_(-bound, bound);
    if (!with_bias) return;
    bias_ = &RegisterParameter("bias", at::empty({out}));
    const double bias_bound = 1 / std::sqrt(static_cast<double>(in));
    bias_->uniform_(-bias_bound, bias_bound);
  }

  at::Tensor Forward(const at::Tensor& input, State* state) override {
    const at::Tensor x = Features(input, state);
    const at::Tensor bias = bias_ != nullptr ? *bias_ : at::Tensor();
    const at::Tensor y = at::linear(x, weight_, bias);
    tscore::SampleLinear(y, x, weight_, bias, "Linear");
    return y;
  }
  std::optional<Head> LinearHead() const override { return Head{weight_, bias_ != nullptr ? *bias_ : at::Tensor()}; }
  at::Tensor Features(const at::Tensor& input, State*) override {
    TORCH_CHECK(input.dim() >= 1 && input.size(-1) == weight_.size(1), "[Linear] input must be (..., ", weight_.size(1),
                "), got ", input.sizes());
    return input;
  }

  std::string Describe() const override {
    return absl::StrCat("Linear(", weight_.size(1), ", ", weight_.size(0), bias_ == nullptr ? ", bias=false)" : ")");
  }

 private:
  at::Tensor& weight_;
  at::Tensor* bias_ = nullptr;
};

LANTHORN_LAYER("Linear(int in_features, int out_features, bool bias=True)",
               "y = x W^T + b. in (..., in_features); out (..., out_features). Initial values as torch.nn.Linear.",
               "nn.Linear{4, 2}(torch.randn{3, 4})", [](const std::vector<c10::IValue>& a) {
                 TORCH_CHECK(a[0].toInt() > 0 && a[1].toInt() > 0, "[Linear] sizes must be positive, got ",
                             a[0].toInt(), " and ", a[1].toInt());
                 return MakeLinear(a[0].toInt(), a[1].toInt(), a[2].toBool());
               });

}  // namespace

std::shared_ptr<Module> MakeLinear(int64_t in, int64_t out, bool bias) {
  return std::make_shared<Linear>(in, out, bias);
}

}  // namespace lanthorn::nn
