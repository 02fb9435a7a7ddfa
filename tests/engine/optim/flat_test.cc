// The one-pass updates of contiguous float32 parameters against the optimisers' plain operators, which take over for
// parameters of another layout or dtype (and follow PyTorch in optimizer_test.cc).
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "engine/kernels/update/flat_updates.h"
#include "tests/engine/folders.h"
#include "tests/engine/optim/make_optimizer.h"

namespace lanthorn::optim {
namespace {

enum class Form { kFlat, kStrided, kDouble };

// The same values in memory that the one-pass kernel takes, or not.
at::Tensor Leaf(const at::Tensor& values, Form form) {
  at::Tensor made;
  if (form == Form::kFlat) made = values.clone();
  if (form == Form::kDouble) made = values.to(c10::kDouble);
  if (form == Form::kStrided) made = at::stack({values, values}, -1).select(-1, 0);
  return made.detach().set_requires_grad(true);
}

std::vector<std::vector<int64_t>> Shapes() { return {{0}, {1}, {}, {3, 5}, {17}, {128, 129}, {40001}}; }

// Six steps with gradients that depend on the step only; tensor 4 has none in step 3. Returns parameters and state.
std::map<std::string, at::Tensor> SixSteps(const nlohmann::json& golden, Form form, double scale) {
  at::manual_seed(11);
  Options options = OptionsOf(golden["name"], golden["options"].get<Options>());
  const auto optimizer = MakeOptimizer(golden["name"]);
  std::vector<NamedParameter> first, second;
  for (const auto& shape : Shapes()) {
    auto& group = first.size() < 3 ? first : second;
    group.push_back({"p" + std::to_string(first.size() + second.size()), Leaf(at::randn(shape), form)});
  }
  optimizer->AddGroup(first, options);
  options["lr"] *= 2;
  optimizer->AddGroup(second, options);
  std::vector<NamedParameter> all = first;
  all.insert(all.end(), second.begin(), second.end());
  for (int step = 1; step <= 6; ++step) {
    for (size_t i = 0; i < all.size(); ++i) {
      const at::Tensor gradient = at::randn(Shapes()[i]);
      all[i].tensor.mutable_grad() = step == 3 && i == 4 ? at::Tensor() : gradient.to(all[i].tensor.scalar_type());
    }
    optimizer->Step(scale);
  }
  std::map<std::string, at::Tensor> found;
  for (const NamedParameter& parameter : all) found[parameter.name] = parameter.tensor.detach().to(c10::kDouble);
  for (const NamedParameter& state : optimizer->StateTensors()) found[state.name] = state.tensor.to(c10::kDouble);
  return found;
}

void ExpectClose(const std::map<std::string, at::Tensor>& a, const std::map<std::string, at::Tensor>& b, double atol) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, tensor] : a) {
    ASSERT_EQ(b.count(name), 1u) << name;
    EXPECT_TRUE(at::allclose(tensor, b.at(name), /*rtol=*/1e-5, atol))
        << name << " off by " << (tensor - b.at(name)).abs().max().item<double>();
  }
}

double Distance(const at::Tensor& a, const at::Tensor& b) {
  if (a.numel() == 0) return 0;
  return (a.to(c10::kDouble) - b.to(c10::kDouble)).abs().max().item<double>();
}

TEST(FlatUpdates, EqualThePlainOperatorsInEveryGoldenCase) {
  const auto golden = Golden("pytorch_optim.json");
  for (const auto& item : golden["cases"]) {
    for (const double scale : {1.0, 0.125, 0.3}) {
      SCOPED_TRACE(item["name"].get<std::string>() + " " + item["options"].dump() + " scale " + std::to_string(scale));
      const auto flat = SixSteps(item, Form::kFlat, scale);
      const auto plain = SixSteps(item, Form::kStrided, scale), wide = SixSteps(item, Form::kDouble, scale);
      ExpectClose(flat, plain, 2e-6);
      // The root of a difference of near numbers (centred RMSprop) and a quotient of small ones magnify rounding: there
      // the plain operators in float are as far from double as the flat ones, and no farther may these be.
      for (const auto& [name, tensor] : flat) {
        EXPECT_LE(Distance(tensor, wide.at(name)), Distance(plain.at(name), wide.at(name)) + 5e-6) << name;
      }
    }
  }
}

TEST(FlatUpdates, HaveTheSameBitsOnAnyNumberOfThreads) {
  const int before = at::get_num_threads();
  const auto golden = Golden("pytorch_optim.json");
  for (const auto& item : golden["cases"]) {
    at::set_num_threads(1);
    const auto one = SixSteps(item, Form::kFlat, 0.5);
    at::set_num_threads(3);
    const auto three = SixSteps(item, Form::kFlat, 0.5);
    for (const auto& [name, tensor] : one) EXPECT_TRUE(at::equal(tensor, three.at(name))) << name;
  }
  at::set_num_threads(before);
}

TEST(FlatUpdates, TakeContiguousFloatOnly) {
  const at::Tensor a = at::zeros({2, 3});
  EXPECT_TRUE(kernels::IsFlat({a, at::zeros({6})}));
  EXPECT_FALSE(kernels::IsFlat({a, a.t()}));
  EXPECT_FALSE(kernels::IsFlat({a, at::zeros({2, 3}, c10::kDouble)}));
  EXPECT_FALSE(kernels::IsFlat({a, at::zeros({1}).expand({2, 3})}));
  EXPECT_FALSE(kernels::IsFlat({a, at::zeros({5})}));
}

// A parameter with one gradient, stepped once.
at::Tensor StepOnce(const std::string& name, const Options& given, at::Tensor p, const at::Tensor& gradient,
                    double scale = 1) {
  p.set_requires_grad(true);
  const auto optimizer = MakeOptimizer(name);
  optimizer->AddGroup({{"p", p}}, OptionsOf(name, given));
  p.mutable_grad() = gradient;
  optimizer->Step(scale);
  return p.detach();
}

TEST(FlatUpdates, NanReachesTheParameterAndInfiniteParametersStay) {
  const float infinity = std::numeric_limits<float>::infinity();
  const at::Tensor gradient = at::tensor({1.0f, NAN, 0.0f});
  for (const OptimizerSpec& spec : Optimizers()) {
    const at::Tensor p = StepOnce(spec.name(), {{"weight_decay", 0.0}}, at::tensor({1.0f, 1.0f, -infinity}), gradient);
    EXPECT_TRUE(std::isfinite(p[0].item<float>())) << spec.name();
    EXPECT_TRUE(std::isnan(p[1].item<float>())) << spec.name();
    EXPECT_EQ(p[2].item<float>(), -infinity) << spec.name();  // a mask without gradient, as PyTorch leaves it
  }
}

TEST(FlatUpdates, TheScaleActsOnTheUpdateAndNotOnTheGradient) {
  const at::Tensor gradient = at::tensor({2.0f, -4.0f});
  at::Tensor p = at::zeros({2});
  StepOnce("SGD", {{"lr", 1.0}}, p, gradient, 0.25);
  EXPECT_TRUE(at::equal(p.detach(), at::tensor({-0.5f, 1.0f})));
  EXPECT_TRUE(at::equal(p.grad(), at::tensor({2.0f, -4.0f})));
}

TEST(FlatUpdates, AutogradSeesThatAParameterWasWritten) {
  at::Tensor p = at::ones({4}).set_requires_grad(true);
  const at::Tensor loss = (p * p).sum();
  const auto optimizer = MakeOptimizer("Adam");
  optimizer->AddGroup({{"p", p}}, OptionsOf("Adam", {}));
  p.mutable_grad() = at::ones({4});
  optimizer->Step();
  EXPECT_THROW(loss.backward(), c10::Error);  // "modified by an inplace operation"
}

TEST(FlatUpdates, AParameterGivenTwiceIsAnErrorThatNamesIt) {
  const at::Tensor p = at::ones({4}).set_requires_grad(true);
  const auto optimizer = MakeOptimizer("Adam");
  optimizer->AddGroup({{"first", p}}, OptionsOf("Adam", {}));
  try {
    optimizer->AddGroup({{"second", p}}, OptionsOf("Adam", {}));
    FAIL() << "no error";
  } catch (const c10::Error& error) {
    EXPECT_NE(std::string(error.what()).find("'second' is given twice"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace lanthorn::optim
