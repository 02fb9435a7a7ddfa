// Each optimiser against ten steps of PyTorch's in float64 (tests/golden/make_pytorch_optim.py).
#include "engine/optim/optimizer.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/engine/folders.h"
#include "tests/engine/optim/make_optimizer.h"

namespace lanthorn::optim {
namespace {

at::Tensor Parameter(std::vector<double> values, std::vector<int64_t> sizes, c10::ScalarType dtype = c10::kDouble) {
  return at::tensor(values, dtype).view(sizes).set_requires_grad(true);
}
std::vector<double> Values(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.detach().to(c10::kDouble).flatten().contiguous();
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

// float32 goes through the one-pass kernels; their rounding adds up over ten steps.
void ExpectNear(const at::Tensor& tensor, const std::vector<double>& expected) {
  const double tolerance = tensor.scalar_type() == c10::kDouble ? 1e-12 : 3e-6;
  const std::vector<double> values = Values(tensor);
  ASSERT_EQ(values.size(), expected.size());
  for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], expected[i], tolerance) << "element " << i;
}

// The recipe's ten steps; with `gap`, b has no gradient at step 4.
void ExpectPyTorch(const nlohmann::json& golden, bool gap, c10::ScalarType dtype = c10::kDouble) {
  const std::string name = golden["name"];
  Options options = OptionsOf(name, golden["options"].get<Options>());
  const at::Tensor a = Parameter({0.5, -1.25, 2.0}, {3}, dtype), b = Parameter({-0.75, 1.5, 0.25, -2.5}, {2, 2}, dtype);
  const auto optimizer = MakeOptimizer(name);
  optimizer->AddGroup({{"a", a}}, options);
  options["lr"] *= 3;
  optimizer->AddGroup({{"b", b}}, options);
  const auto& states = golden[gap ? "gap" : "states"];
  size_t next = 0;
  for (int k = 1; k <= 10; ++k) {
    {
      const at::NoGradGuard no_grad;
      a.mutable_grad() = a * 0.5 + at::sin(at::arange(3, dtype) + k);
      b.mutable_grad() = gap && k == 4 ? at::Tensor() : b * 0.5 + at::sin(at::arange(3, 7, dtype).view({2, 2}) + k);
    }
    optimizer->Step();
    if (states[next]["step"] != k) continue;
    SCOPED_TRACE("after step " + std::to_string(k));
    ExpectNear(a, states[next]["a"]);
    ExpectNear(b, states[next]["b"]);
    ++next;
  }
  EXPECT_EQ(next, states.size());
  EXPECT_EQ(optimizer->steps(), 10);
}

TEST(Optimizer, FollowsPyTorchStepByStep) {
  const nlohmann::json golden = Golden("pytorch_optim.json");
  std::set<std::string> covered;
  for (const auto& item : golden["cases"]) {
    SCOPED_TRACE(item["name"].get<std::string>() + " " + item["options"].dump());
    ExpectPyTorch(item, /*gap=*/false);
    covered.insert(item["name"]);
  }
  for (const OptimizerSpec& spec : Optimizers())
    EXPECT_TRUE(covered.count(spec.name())) << spec.name() << " has no golden case";
}

TEST(Optimizer, CountsTheUpdatesOfEachParameterLikePyTorch) {
  const nlohmann::json golden = Golden("pytorch_optim.json");
  for (const auto& item : golden["cases"]) {
    SCOPED_TRACE(item["name"].get<std::string>() + " " + item["options"].dump());
    ExpectPyTorch(item, /*gap=*/true);
  }
}

TEST(Optimizer, FollowsPyTorchInFloatWithinRounding) {
  const nlohmann::json golden = Golden("pytorch_optim.json");
  for (const auto& item : golden["cases"]) {
    for (const bool gap : {false, true}) {
      SCOPED_TRACE(item["name"].get<std::string>() + " " + item["options"].dump());
      ExpectPyTorch(item, gap, c10::kFloat);
    }
  }
}

TEST(Optimizer, LeavesParametersWithoutGradientAlone) {
  for (const OptimizerSpec& spec : Optimizers()) {
    const at::Tensor a = Parameter({1, 2}, {2});
    const auto optimizer = spec.make();
    optimizer->AddGroup({{"a", a}}, OptionsOf(spec.name(), {{"weight_decay", 0.5}}));
    optimizer->Step();
    EXPECT_EQ(Values(a), (std::vector<double>{1, 2})) << spec.name();
    EXPECT_TRUE(optimizer->StateTensors().empty()) << spec.name();
  }
}

TEST(Optimizer, AScheduleScalesEveryGroupsOwnRate) {
  const at::Tensor a = Parameter({0}, {1}), b = Parameter({0}, {1});
  const auto optimizer = MakeOptimizer("SGD");
  optimizer->AddGroup({{"a", a}}, OptionsOf("SGD", {{"lr", 0.1}}));
  optimizer->AddGroup({{"b", b}}, OptionsOf("SGD", {{"lr", 0.4}}));
  for (const double factor : {0.5, 0.25}) {  // factors do not pile up
    optimizer->SetLrFactor(factor);
    EXPECT_DOUBLE_EQ(optimizer->lr(), 0.1 * factor);
  }
  a.mutable_grad() = at::ones({1}, c10::kDouble);
  b.mutable_grad() = at::ones({1}, c10::kDouble);
  optimizer->Step();
  EXPECT_DOUBLE_EQ(a.item<double>(), -0.025);
  EXPECT_DOUBLE_EQ(b.item<double>(), -0.1);
}

TEST(Optimizer, StateIsNamedBySlotAndParameter) {
  const at::Tensor a = Parameter({1, 2}, {2});
  const auto optimizer = MakeOptimizer("Adam");
  optimizer->AddGroup({{"rnn.weight", a}}, OptionsOf("Adam", {}));
  a.mutable_grad() = at::ones({2}, c10::kDouble);
  optimizer->Step();
  std::set<std::string> names;
  for (const auto& state : optimizer->StateTensors()) names.insert(state.name);
  EXPECT_TRUE(names.count("exp_avg/rnn.weight") && names.count("exp_avg_sq/rnn.weight"));
}

}  // namespace
}  // namespace lanthorn::optim
