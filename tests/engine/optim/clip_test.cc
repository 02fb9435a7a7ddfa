#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include "engine/optim/optimizer.h"
#include "tests/engine/folders.h"

namespace lanthorn::optim {
namespace {

class Clip : public testing::Test {
 protected:
  Clip() {
    for (const auto& values : {std::vector<double>{3, -4, 0}, std::vector<double>{12, 0.5}}) {
      at::Tensor tensor = at::zeros({static_cast<int64_t>(values.size())}, c10::kDouble).set_requires_grad(true);
      tensor.mutable_grad() = at::tensor(values, c10::kDouble);
      parameters_.push_back({"p" + std::to_string(parameters_.size()), tensor});
    }
    parameters_.push_back({"without", at::zeros({2}, c10::kDouble).set_requires_grad(true)});
  }
  std::vector<double> Gradients() const {
    std::vector<double> all;
    for (const auto& parameter : parameters_) {
      const at::Tensor& gradient = parameter.tensor.grad();
      for (int64_t i = 0; gradient.defined() && i < gradient.numel(); ++i) all.push_back(gradient[i].item<double>());
    }
    return all;
  }
  std::vector<NamedParameter> parameters_;
};

TEST_F(Clip, TheNormIsOverAllGradients) { EXPECT_NEAR(GradientNorm(parameters_), std::sqrt(25 + 144.25), 1e-12); }

TEST_F(Clip, ByNormScalesAsPyTorch) {
  const nlohmann::json golden = Golden("pytorch_optim.json")["clip_norm"];
  const std::vector<double> before = Gradients();
  for (const auto& item : golden) {
    SCOPED_TRACE("limit " + item["limit"].dump());
    for (size_t p = 0, at = 0; p < 2; ++p) {
      for (int64_t i = 0; i < parameters_[p].tensor.numel(); ++i) parameters_[p].tensor.grad()[i] = before[at++];
    }
    const double norm = GradientNorm(parameters_);
    EXPECT_NEAR(norm, item["norm"].get<double>(), 1e-12);
    ClipNorm(parameters_, item["limit"], norm);
    const std::vector<double> got = Gradients();
    for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], item["values"][i].get<double>(), 1e-12);
  }
}

TEST_F(Clip, ByValueLimitsEachElement) {
  ClipValue(parameters_, 3.5);
  EXPECT_EQ(Gradients(), (std::vector<double>{3, -3.5, 0, 3.5, 0.5}));
  EXPECT_FALSE(parameters_[2].tensor.grad().defined());
}

TEST_F(Clip, EachGradientIsScaledByItself) {
  const std::vector<double> before = Gradients();
  const double limit = 6;  // the norms are 5 and 12.01
  ClipEach(parameters_, limit);
  std::vector<double> expected = before;
  const double second = std::sqrt(144.25), scale = limit / (second + 1e-6);
  for (size_t i = static_cast<size_t>(parameters_[0].tensor.numel()); i < expected.size(); ++i) expected[i] *= scale;
  const std::vector<double> got = Gradients();
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 1e-12);
  EXPECT_FALSE(parameters_[2].tensor.grad().defined());
}

TEST_F(Clip, AFloatNormIsAccumulatedInDouble) {
  at::Tensor big = at::zeros({1 << 20}).set_requires_grad(true);
  big.mutable_grad() = at::full({1 << 20}, 1e20f);  // squares overflow float
  EXPECT_NEAR(GradientNorm({{"big", big}}), 1024 * 1e20, 1e14 * 1024);
}

}  // namespace
}  // namespace lanthorn::optim
