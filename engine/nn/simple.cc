// Layers without parameters: dropout and activations.
#include <ATen/Functions.h>

#include "absl/strings/str_format.h"
#include "engine/nn/layer.h"

namespace lanthorn::nn {
namespace {

class Dropout final : public Module {
 public:
  explicit Dropout(double p) : Module("Dropout"), p_(p) {}
  at::Tensor Forward(const at::Tensor& input, State* state) override { return at::dropout(input, p_, training()); }
  std::string Describe() const override { return absl::StrFormat("Dropout(%g)", p_); }

 private:
  double p_;
};

class Activation final : public Module {
 public:
  using Function = at::Tensor (*)(const at::Tensor&);
  Activation(const char* name, Function function) : Module(name), function_(function) {}
  at::Tensor Forward(const at::Tensor& input, State* state) override { return function_(input); }

 private:
  Function function_;
};

const RegisterLayer dropout(
    {"Dropout(float p=0.5)",
     "In training mode each element is zero with probability p and the rest is scaled by 1 / (1 - p).",
     "nn.Dropout{0.1}(torch.ones{3})", [](const std::vector<c10::IValue>& a) {
       TORCH_CHECK(a[0].toDouble() >= 0 && a[0].toDouble() < 1, "[Dropout] p must be in [0, 1), got ", a[0].toDouble());
       return std::make_shared<Dropout>(a[0].toDouble());
     }});

template <at::Tensor (*function)(const at::Tensor&)>
LayerSpec ActivationSpec(const char* name, const char* signature, const char* doc, const char* example) {
  return {signature, doc, example,
          [name](const std::vector<c10::IValue>&) { return std::make_shared<Activation>(name, function); }};
}

at::Tensor ExactGelu(const at::Tensor& x) { return at::gelu(x); }

const RegisterLayer relu(ActivationSpec<&at::relu>("ReLU", "ReLU()", "max(x, 0)", "nn.ReLU()(torch.randn{3})"));
const RegisterLayer tanh_layer(ActivationSpec<&at::tanh>("Tanh", "Tanh()", "tanh(x)", "nn.Tanh()(torch.randn{3})"));
const RegisterLayer sigmoid(ActivationSpec<&at::sigmoid>("Sigmoid", "Sigmoid()", "1 / (1 + exp(-x))",
                                                         "nn.Sigmoid()(torch.randn{3})"));
const RegisterLayer gelu(ActivationSpec<&ExactGelu>("GELU", "GELU()", "x Phi(x), exact", "nn.GELU()(torch.randn{3})"));
const RegisterLayer silu(ActivationSpec<&at::silu>("SiLU", "SiLU()", "x sigmoid(x)", "nn.SiLU()(torch.randn{3})"));

}  // namespace
}  // namespace lanthorn::nn
