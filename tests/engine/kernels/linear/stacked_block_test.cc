// A level of a tree of transformer blocks: all nodes at once through the stacked operators, against one layer per node.
#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include "engine/kernels/attention/attention.h"
#include "engine/kernels/encoder/add_norm.h"
#include "engine/kernels/linear/stacked_linear.h"
#include "engine/tscore/recorder.h"
#include "tests/engine/nn/make_layers.h"

namespace lanthorn::kernels {
namespace {

constexpr int64_t kNodes = 3, kBatch = 4, kSteps = 9, kSize = 12, kHeads = 3, kHidden = 20;

class StackedBlock : public testing::TestWithParam<std::tuple<c10::ScalarType, bool>> {
 protected:
  void SetUp() override {
    at::manual_seed(2);
    const auto [dtype, shared] = GetParam();
    shared_ = shared;
    for (int64_t i = 0; i < kNodes; ++i) {
      layers_.push_back(EncoderLayer(kSize, kHeads, kHidden, {.causal = true}));
      layers_.back()->To(c10::kCPU, dtype);
      at::NoGradGuard no_grad;
      for (const auto& parameter : layers_.back()->Parameters())
        parameter.tensor.add_(0.1 * at::randn_like(parameter.tensor));
    }
    for (const auto& parameter : layers_[0]->Parameters()) {
      std::vector<at::Tensor> values;
      for (const ModulePtr& layer : layers_) {
        for (const auto& own : layer->Parameters()) {
          if (own.name == parameter.name) values.push_back(own.tensor.detach());
        }
      }
      stacked_.push_back({parameter.name, at::stack(values).set_requires_grad(true)});
    }
    x_ = at::randn(
             shared ? std::vector<int64_t>{kBatch, kSteps, kSize} : std::vector<int64_t>{kNodes, kBatch, kSteps, kSize},
             dtype)
             .set_requires_grad(true);
    direction_ = at::randn({kNodes, kBatch, kSteps, kSize}, dtype);
  }

  at::Tensor Get(const std::string& name) const {
    for (const auto& parameter : stacked_) {
      if (parameter.name == name) return parameter.tensor;
    }
    return {};
  }
  at::Tensor Stacked() const {
    const auto linear = [&](const at::Tensor& from, const std::string& weight, const std::string& bias,
                            Activation activation = Activation::kNone) {
      return StackedLinear(from, Get(weight), Get(bias), {activation});
    };
    const at::Tensor qkv = linear(x_, "self_attn.in_proj_weight", "self_attn.in_proj_bias");
    const at::Tensor mixed = Attention(qkv, {}, {kHeads, /*causal=*/true});
    const at::Tensor out = linear(mixed, "self_attn.out_proj.weight", "self_attn.out_proj.bias");
    const at::Tensor x = AddNorm(x_, out, Get("norm1.weight"), Get("norm1.bias"), {}).normed;
    const at::Tensor wide = linear(x, "linear1.weight", "linear1.bias", Activation::kGelu);
    const at::Tensor narrow = linear(wide, "linear2.weight", "linear2.bias");
    return AddNorm(x, narrow, Get("norm2.weight"), Get("norm2.bias"), {}).normed;
  }
  at::Tensor NodeByNode() const {
    std::vector<at::Tensor> outputs;
    for (int64_t i = 0; i < kNodes; ++i)
      outputs.push_back(layers_[static_cast<size_t>(i)]->Forward(shared_ ? x_ : x_[i], nullptr));
    return at::stack(outputs);
  }
  double tolerance() const { return std::get<0>(GetParam()) == c10::kDouble ? 1e-12 : 1e-5; }
  void ExpectNear(const at::Tensor& a, const at::Tensor& b, const std::string& name) const {
    ASSERT_EQ(a.sizes(), b.sizes()) << name;
    EXPECT_LE((a - b).abs().max().item<double>(), tolerance() * std::max(1.0, b.abs().max().item<double>())) << name;
  }

  bool shared_ = false;
  std::vector<ModulePtr> layers_;
  std::vector<tscore::NamedParameter> stacked_;
  at::Tensor x_, direction_;
};

TEST_P(StackedBlock, EqualsOneLayerPerNodeInOutputsGradientsAndSampleNorms) {
  const auto recorded = [&](const auto& forward, const std::vector<tscore::NamedParameter>& parameters) {
    x_.mutable_grad() = at::Tensor();
    const tscore::Recorder::Ptr recorder = tscore::Recorder::Open();
    const at::Tensor y = forward();
    recorder->Close();
    (y * direction_).sum().backward();
    const auto score = recorder->Finish(parameters, /*verify=*/true);
    EXPECT_TRUE(score.ok()) << score.status();
    return std::tuple(y.detach(), x_.grad(), score.ok() ? score->sample_sq : std::vector<double>());
  };
  std::vector<tscore::NamedParameter> all;
  for (const ModulePtr& layer : layers_) {
    for (const auto& parameter : layer->Parameters()) all.push_back(parameter);
  }
  const auto [y, grad_x, squares] = recorded([&] { return Stacked(); }, stacked_);
  const auto [expected, expected_grad, expected_squares] = recorded([&] { return NodeByNode(); }, all);
  ExpectNear(y, expected, "output");
  ExpectNear(grad_x, expected_grad, "gradient of x");
  ASSERT_EQ(squares.size(), expected_squares.size());
  for (size_t i = 0; i < squares.size(); ++i)
    EXPECT_NEAR(squares[i], expected_squares[i], 10 * tolerance() * expected_squares[i]) << "sample " << i;
  for (const auto& parameter : stacked_) {
    for (int64_t i = 0; i < kNodes; ++i) {
      for (const auto& own : layers_[static_cast<size_t>(i)]->Parameters()) {
        if (own.name == parameter.name) ExpectNear(parameter.tensor.grad()[i], own.tensor.grad(), own.name);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Inputs, StackedBlock,
                         testing::Combine(testing::Values(c10::kFloat, c10::kDouble), testing::Bool()),
                         [](const auto& info) {
                           return std::string(c10::toString(std::get<0>(info.param))) +
                                  (std::get<1>(info.param) ? "Shared" : "PerNode");
                         });

}  // namespace
}  // namespace lanthorn::kernels
