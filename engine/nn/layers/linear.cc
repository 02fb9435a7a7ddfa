// y = x W^T + b. Initial values as torch.nn.Linear: W and b from U(-1/sqrt(in), 1/sqrt(in)), W first.
#include <ATen/Functions.h>

#include "engine/kernels/linear/packed_weights.h"
#include "engine/kernels/linear/stacked_linear.h"
#include "engine/nn/init.h"
#include "engine/nn/layer.h"
#include "engine/nn/layer_makers.h"
#include "engine/tscore/samplers.h"

namespace lanthorn::nn {
namespace {

class Linear final : public Module {
 public:
  Linear(int64_t in, int64_t out, bool with_bias)
      : Module("Linear"), weight_(RegisterParameter("weight", at::empty({out, in}))) {
    KaimingUniform(weight_);
    if (!with_bias) return;
    bias_ = &RegisterParameter("bias", at::empty({out}));
    UniformByFanIn(*bias_, in);
  }

  at::Tensor Compute(const at::Tensor& input, State* state) override {
    const at::Tensor x = Features(input, state);
    const at::Tensor bias = bias_ != nullptr ? *bias_ : at::Tensor();
    // The bits of a row are then the same for any number of rows.
    if (kernels::PackedWeights::IsOpen()) return kernels::StackedLinear(x, weight_, bias, {}, "Linear");
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

 protected:
  bool DecodesItself() const override { return true; }

 private:
  at::Tensor& weight_;
  at::Tensor* bias_ = nullptr;
};

LANTHORN_LAYER("Linear(int in_features, int out_features, bool bias=True)",
               "y = x W^T + b. in (..., in_features); out (..., out_features). Initial values as torch.nn.Linear.",
               "nn.Linear{4, 2}(torch.randn{3, 4})", [](int64_t in_features, int64_t out_features, bool bias) {
                 TORCH_CHECK(in_features > 0 && out_features > 0, "[Linear] sizes must be positive, got ", in_features,
                             " and ", out_features);
                 return MakeLinear(in_features, out_features, bias);
               });

}  // namespace

std::shared_ptr<Module> MakeLinear(int64_t in, int64_t out, bool bias) {
  return std::make_shared<Linear>(in, out, bias);
}

}  // namespace lanthorn::nn
