// Dropout (Srivastava et al. 2014): in training mode some elements are zero.
#include <ATen/Functions.h>

#include "absl/strings/str_format.h"
#include "engine/nn/layer.h"

namespace lanthorn::nn {
namespace {

class Dropout final : public Module {
 public:
  explicit Dropout(double p) : Module("Dropout"), p_(p) {}
  at::Tensor Compute(const at::Tensor& input, State* state) override { return at::dropout(input, p_, training()); }
  std::string Describe() const override { return absl::StrFormat("Dropout(%g)", p_); }

 protected:
  bool DecodesItself() const override { return !training(); }

 private:
  double p_;
};

LANTHORN_LAYER("Dropout(float p=0.5)",
               "In training mode each element is zero with probability p and the rest is scaled by 1 / (1 - p).",
               "nn.Dropout{0.1}(torch.ones{3})", [](double p) {
                 TORCH_CHECK(p >= 0 && p < 1, "[Dropout] p must be in [0, 1), got ", p);
                 return std::make_shared<Dropout>(p);
               });

}  // namespace
}  // namespace lanthorn::nn
