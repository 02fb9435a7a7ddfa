// Activations: functions of each element, and softmax along a dimension.
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include "absl/strings/str_format.h"
#include "engine/nn/layer.h"
#include "engine/tscore/samplers.h"

namespace lanthorn::nn {
namespace {

class Activation final : public Module {
 public:
  using Function = std::function<at::Tensor(const at::Tensor&)>;
  Activation(const char* name, std::string options, Function function, bool elementwise = true)
      : Module(name), options_(std::move(options)), function_(std::move(function)), elementwise_(elementwise) {}
  at::Tensor Compute(const at::Tensor& input, State*) override { return function_(input); }
  std::string Describe() const override { return options_.empty() ? kind() : kind() + "(" + options_ + ")"; }

 protected:
  bool DecodesItself() const override { return elementwise_; }

 private:
  std::string options_;
  Function function_;
  bool elementwise_;  // else along a dimension, which may be that of the positions
};

// Of a function without options.
template <at::Tensor (*function)(const at::Tensor&)>
LayerSpec Plain(const char* name, const char* signature, const char* doc, const char* example) {
  return {signature, doc, example, [name] { return std::make_shared<Activation>(name, "", function); }};
}

at::Tensor Softsign(const at::Tensor& x) { return x / (x.abs() + 1); }
at::Tensor Tanhshrink(const at::Tensor& x) { return x - x.tanh(); }

const RegisterLayer relu(Plain<&at::relu>("ReLU", "ReLU()", "max(x, 0)", "nn.ReLU()(torch.randn{3})"));
const RegisterLayer relu6(Plain<&at::relu6>("ReLU6", "ReLU6()", "min(max(x, 0), 6)", "nn.ReLU6()(torch.randn{3})"));
const RegisterLayer tanh_layer(Plain<&at::tanh>("Tanh", "Tanh()", "tanh(x)", "nn.Tanh()(torch.randn{3})"));
const RegisterLayer sigmoid(Plain<&at::sigmoid>("Sigmoid", "Sigmoid()", "1 / (1 + exp(-x))",
                                                "nn.Sigmoid()(torch.randn{3})"));
const RegisterLayer log_sigmoid(Plain<&at::log_sigmoid>("LogSigmoid", "LogSigmoid()", "log(1 / (1 + exp(-x)))",
                                                        "nn.LogSigmoid()(torch.randn{3})"));
const RegisterLayer silu(Plain<&at::silu>("SiLU", "SiLU()", "x sigmoid(x)", "nn.SiLU()(torch.randn{3})"));
const RegisterLayer mish(Plain<&at::mish>("Mish", "Mish()", "x tanh(log(1 + exp(x)))", "nn.Mish()(torch.randn{3})"));
const RegisterLayer selu(Plain<&at::selu>("SELU", "SELU()",
                                          "1.0507 (max(x, 0) + min(1.6733 (exp(x) - 1), 0)). Klambauer et al. 2017.",
                                          "nn.SELU()(torch.randn{3})"));
const RegisterLayer hardsigmoid(Plain<&at::hardsigmoid>("Hardsigmoid", "Hardsigmoid()", "min(max(x / 6 + 1/2, 0), 1)",
                                                        "nn.Hardsigmoid()(torch.randn{3})"));
const RegisterLayer hardswish(Plain<&at::hardswish>("Hardswish", "Hardswish()", "x min(max(x / 6 + 1/2, 0), 1)",
                                                    "nn.Hardswish()(torch.randn{3})"));
const RegisterLayer softsign(Plain<&Softsign>("Softsign", "Softsign()", "x / (1 + |x|)",
                                              "nn.Softsign()(torch.randn{3})"));
const RegisterLayer tanhshrink(Plain<&Tanhshrink>("Tanhshrink", "Tanhshrink()", "x - tanh(x)",
                                                  "nn.Tanhshrink()(torch.randn{3})"));

const RegisterLayer gelu({"GELU(str approximate='none')",
                          "x Phi(x), exact; approximate='tanh' is the formula with tanh. Hendrycks and Gimpel 2016.",
                          "nn.GELU()(torch.randn{3})", [](const std::string& way) {
                            TORCH_CHECK(way == "none" || way == "tanh",
                                        "[GELU] approximate must be 'none' or 'tanh', got '", way, "'");
                            return std::make_shared<Activation>(
                                "GELU", way == "none" ? "" : "approximate='tanh'",
                                [way](const at::Tensor& x) { return at::gelu(x, way); });
                          }});
const RegisterLayer leaky_relu({"LeakyReLU(float negative_slope=0.01)", "x where it is positive, else negative_slope x",
                                "nn.LeakyReLU{0.2}(torch.randn{3})", [](double slope) {
                                  return std::make_shared<Activation>(
                                      "LeakyReLU", absl::StrFormat("%g", slope),
                                      [slope](const at::Tensor& x) { return at::leaky_relu(x, slope); });
                                }});
const RegisterLayer elu({"ELU(float alpha=1.)", "x where it is positive, else alpha (exp(x) - 1)",
                         "nn.ELU()(torch.randn{3})", [](double alpha) {
                           return std::make_shared<Activation>(
                               "ELU", absl::StrFormat("%g", alpha),
                               [alpha](const at::Tensor& x) { return at::elu(x, alpha); });
                         }});
const RegisterLayer celu({"CELU(float alpha=1.)", "max(x, 0) + min(alpha (exp(x / alpha) - 1), 0)",
                          "nn.CELU()(torch.randn{3})", [](double alpha) {
                            TORCH_CHECK(alpha != 0, "[CELU] alpha must not be 0");
                            return std::make_shared<Activation>(
                                "CELU", absl::StrFormat("%g", alpha),
                                [alpha](const at::Tensor& x) { return at::celu(x, alpha); });
                          }});
const RegisterLayer softplus({"Softplus(float beta=1., float threshold=20.)",
                              "log(1 + exp(beta x)) / beta; x itself where beta x is above threshold",
                              "nn.Softplus()(torch.randn{3})", [](double beta, double threshold) {
                                TORCH_CHECK(beta != 0, "[Softplus] beta must not be 0");
                                return std::make_shared<Activation>(
                                    "Softplus", absl::StrFormat("%g, %g", beta, threshold),
                                    [=](const at::Tensor& x) { return at::softplus(x, beta, threshold); });
                              }});
const RegisterLayer hardtanh({"Hardtanh(float min_val=-1., float max_val=1.)", "x limited to [min_val, max_val]",
                              "nn.Hardtanh()(torch.randn{3})", [](double low, double high) {
                                TORCH_CHECK(low < high, "[Hardtanh] min_val must be below max_val, got ", low, " and ",
                                            high);
                                return std::make_shared<Activation>(
                                    "Hardtanh", absl::StrFormat("%g, %g", low, high),
                                    [=](const at::Tensor& x) { return at::hardtanh(x, low, high); });
                              }});

// Of a function along a dimension.
template <typename F>
std::shared_ptr<Module> Along(const char* name, int64_t dim, const F& function) {
  const auto along = [=](const at::Tensor& x) {
    TORCH_CHECK(dim < x.dim() && dim >= -x.dim(), "[", name, "] dim ", dim, " is outside of an input of ", x.dim(),
                " dimensions");
    return function(x, dim);
  };
  return std::make_shared<Activation>(name, absl::StrFormat("%d", dim), along, /*elementwise=*/false);
}
const RegisterLayer softmax({"Softmax(int dim)", "exp(x) / sum exp(x) along dim", "nn.Softmax{-1}(torch.randn{2, 3})",
                             [](int64_t dim) {
                               return Along("Softmax", dim,
                                            [](const at::Tensor& x, int64_t dim) { return at::softmax(x, dim); });
                             }});
const RegisterLayer log_softmax({"LogSoftmax(int dim)", "log(exp(x) / sum exp(x)) along dim",
                                 "nn.LogSoftmax{-1}(torch.randn{2, 3})", [](int64_t dim) {
                                   return Along("LogSoftmax", dim, [](const at::Tensor& x, int64_t dim) {
                                     return at::log_softmax(x, dim);
                                   });
                                 }});
const RegisterLayer softmin({"Softmin(int dim)", "exp(-x) / sum exp(-x) along dim", "nn.Softmin{-1}(torch.randn{2, 3})",
                             [](int64_t dim) {
                               return Along("Softmin", dim,
                                            [](const at::Tensor& x, int64_t dim) { return at::softmax(-x, dim); });
                             }});

class PRelu final : public Module {
 public:
  PRelu(int64_t count, double init)
      : Module("PReLU"), weight_(RegisterParameter("weight", at::full({count}, init, c10::kFloat))) {}
  at::Tensor Compute(const at::Tensor& input, State*) override {
    const int64_t count = weight_.numel();
    TORCH_CHECK(count == 1 || (input.dim() >= 2 && input.size(1) == count), "[PReLU] input must be (N, ", count,
                ", ...), got ", input.sizes());
    const at::Tensor y = at::prelu(input, weight_);
    if (tscore::Watching(y, {weight_}) != nullptr)
      tscore::SampleChannels(y, at::clamp_max(input, 0), weight_, {}, "PReLU");
    return y;
  }
  std::string Describe() const override { return absl::StrFormat("PReLU(%d)", weight_.numel()); }

 private:
  at::Tensor& weight_;
};
const RegisterLayer prelu({"PReLU(int num_parameters=1, float init=0.25)",
                           "x where it is positive, else weight x; a weight for each channel (dimension 1) or one for "
                           "all. He et al. 2015.",
                           "nn.PReLU()(torch.randn{2, 3})", [](int64_t num_parameters, double init) {
                             TORCH_CHECK(num_parameters > 0, "[PReLU] num_parameters must be positive, got ",
                                         num_parameters);
                             return std::make_shared<PRelu>(num_parameters, init);
                           }});

}  // namespace
}  // namespace lanthorn::nn
