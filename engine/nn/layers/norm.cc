// LayerNorm (Ba, Kiros and Hinton 2016) and RMSNorm (Zhang and Sennrich 2019) over the last dimension.
#include <ATen/Functions.h>

#include "absl/strings/str_format.h"
#include "engine/nn/layer.h"
#include "engine/nn/layer_makers.h"
#include "engine/tscore/samplers.h"

namespace lanthorn::nn {
namespace {

class LayerNorm final : public Module {
 public:
  LayerNorm(int64_t size, double eps, bool affine, bool bias) : Module("LayerNorm"), size_(size), eps_(eps) {
    if (affine) weight_ = &RegisterParameter("weight", at::ones({size}));
    if (affine && bias) bias_ = &RegisterParameter("bias", at::zeros({size}));
  }

  at::Tensor Compute(const at::Tensor& input, State* state) override {
    TORCH_CHECK(input.dim() >= 1 && input.size(-1) == size_, "[LayerNorm] input must be (..., ", size_, "), got ",
                input.sizes());
    const at::Tensor weight = weight_ != nullptr ? *weight_ : at::Tensor(),
                     bias = bias_ != nullptr ? *bias_ : at::Tensor();
    const at::Tensor y = at::layer_norm(input, {size_}, weight, bias, eps_);
    if (weight.defined() && tscore::Recorder::Current() != nullptr) {
      tscore::SampleScale(y, at::layer_norm(input.detach(), {size_}, {}, {}, eps_), weight, bias, "LayerNorm");
    }
    return y;
  }

  std::string Describe() const override { return absl::StrFormat("LayerNorm(%d)", size_); }

 protected:
  bool DecodesItself() const override { return true; }

 private:
  int64_t size_;
  double eps_;
  at::Tensor *weight_ = nullptr, *bias_ = nullptr;
};

class RmsNorm final : public Module {
 public:
  RmsNorm(int64_t size, double eps, bool affine) : Module("RMSNorm"), size_(size), eps_(eps) {
    if (affine) weight_ = &RegisterParameter("weight", at::ones({size}));
  }

  at::Tensor Compute(const at::Tensor& input, State* state) override {
    TORCH_CHECK(input.dim() >= 1 && input.size(-1) == size_, "[RMSNorm] input must be (..., ", size_, "), got ",
                input.sizes());
    const at::Tensor normalized = input * at::rsqrt(input.square().mean(-1, /*keepdim=*/true) + eps_);
    if (weight_ == nullptr) return normalized;
    const at::Tensor y = normalized * *weight_;
    tscore::SampleScale(y, normalized, *weight_, {}, "RMSNorm");
    return y;
  }

  std::string Describe() const override { return absl::StrFormat("RMSNorm(%d)", size_); }

 protected:
  bool DecodesItself() const override { return true; }

 private:
  int64_t size_;
  double eps_;
  at::Tensor* weight_ = nullptr;
};

void CheckSize(const char* tag, int64_t size, double eps) {
  TORCH_CHECK(size > 0 && eps >= 0, "[", tag, "] the size must be positive and eps not negative, got ", size, " and ",
              eps);
}

const RegisterLayer layer_norm(
    {"LayerNorm(int normalized_shape, float eps=1e-05, bool elementwise_affine=True, bool bias=True)",
     "y = (x - mean) / sqrt(var + eps) * weight + bias over the last dimension. in and out (..., normalized_shape). "
     "Weight 1, bias 0 at first.",
     "nn.LayerNorm{4}(torch.randn{2, 4})",
     [](int64_t normalized_shape, double eps, bool elementwise_affine, bool bias) {
       CheckSize("LayerNorm", normalized_shape, eps);
       return std::make_shared<LayerNorm>(normalized_shape, eps, elementwise_affine, bias);
     }});
const RegisterLayer rms_norm({"RMSNorm(int normalized_shape, float eps=1e-05, bool elementwise_affine=True)",
                              "y = x / sqrt(mean(x^2) + eps) * weight over the last dimension. in and out (..., "
                              "normalized_shape). Weight 1 at first.",
                              "nn.RMSNorm{4}(torch.randn{2, 4})",
                              [](int64_t normalized_shape, double eps, bool elementwise_affine) {
                                CheckSize("RMSNorm", normalized_shape, eps);
                                return std::make_shared<RmsNorm>(normalized_shape, eps, elementwise_affine);
                              }});

}  // namespace

std::shared_ptr<Module> MakeLayerNorm(int64_t size, double eps, bool affine, bool bias) {
  return std::make_shared<LayerNorm>(size, eps, affine, bias);
}
std::shared_ptr<Module> MakeRmsNorm(int64_t size, double eps, bool affine) {
  return std::make_shared<RmsNorm>(size, eps, affine);
}

}  // namespace lanthorn::nn
