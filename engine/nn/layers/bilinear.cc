// y = x1^T W x2 + b of two inputs. Initial values as torch.nn.Bilinear: W and b from U(-1/sqrt(in1), 1/sqrt(in1)), W
// first.
#include <ATen/Functions.h>

#include "absl/strings/str_cat.h"
#include "engine/nn/init.h"
#include "engine/nn/layer.h"
#include "engine/tscore/samplers.h"

namespace lanthorn::nn {
namespace {

class Bilinear final : public Module {
 public:
  Bilinear(int64_t in1, int64_t in2, int64_t out, bool bias)
      : Module("Bilinear"), weight_(RegisterParameter("weight", at::empty({out, in1, in2}))) {
    UniformByFanIn(weight_, in1);
    if (!bias) return;
    bias_ = &RegisterParameter("bias", at::empty({out}));
    UniformByFanIn(*bias_, in1);
  }

  int64_t MostInputs() const override { return 2; }
  at::Tensor ForwardAll(const std::vector<at::Tensor>& inputs) override {
    TORCH_CHECK(inputs.size() == 2 && inputs[0].defined() && inputs[1].defined(),
                "[Bilinear] takes two inputs: layer(x1, x2)");
    const at::Tensor &x1 = inputs[0], &x2 = inputs[1];
    TORCH_CHECK(x1.dim() >= 1 && x1.dim() == x2.dim() && x1.size(-1) == weight_.size(1) &&
                    x2.size(-1) == weight_.size(2) &&
                    x1.sizes().slice(0, x1.dim() - 1) == x2.sizes().slice(0, x2.dim() - 1),
                "[Bilinear] inputs must be (..., ", weight_.size(1), ") and (..., ", weight_.size(2), "), got ",
                x1.sizes(), " and ", x2.sizes());
    const at::Tensor bias = bias_ != nullptr ? *bias_ : at::Tensor();
    const at::Tensor y = at::bilinear(x1, x2, weight_, bias);
    tscore::SampleBilinear(y, x1, x2, weight_, bias, "Bilinear");
    return y;
  }
  at::Tensor Compute(const at::Tensor& input, State*) override { return ForwardAll({input}); }

  std::string Describe() const override {
    return absl::StrCat("Bilinear(", weight_.size(1), ", ", weight_.size(2), ", ", weight_.size(0),
                        bias_ == nullptr ? ", bias=false)" : ")");
  }

 private:
  at::Tensor& weight_;
  at::Tensor* bias_ = nullptr;
};

LANTHORN_LAYER("Bilinear(int in1_features, int in2_features, int out_features, bool bias=True)",
               "y = x1^T W x2 + b, called as layer(x1, x2). in (..., in1_features) and (..., in2_features); out (..., "
               "out_features). Initial values as torch.nn.Bilinear.",
               "nn.Bilinear{3, 4, 2}(torch.randn{5, 3}, torch.randn{5, 4})",
               [](int64_t in1_features, int64_t in2_features, int64_t out_features, bool bias) {
                 TORCH_CHECK(in1_features > 0 && in2_features > 0 && out_features > 0,
                             "[Bilinear] sizes must be positive, got ", in1_features, ", ", in2_features, " and ",
                             out_features);
                 return std::make_shared<Bilinear>(in1_features, in2_features, out_features, bias);
               });

}  // namespace
}  // namespace lanthorn::nn
