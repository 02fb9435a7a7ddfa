#include "engine/train/continual/ewc.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "tests/engine/train/tiny.h"

namespace lanthorn::train {
namespace {

struct Held {
  std::vector<nn::NamedParameter> parameters;
  std::vector<at::Tensor> fisher;

  explicit Held(uint64_t seed = 1) {
    at::manual_seed(seed);
    for (const auto& [name, sizes] :
         {std::pair<const char*, std::vector<int64_t>>{"a.weight", {40, 30}}, {"b.weight", {17}}}) {
      parameters.push_back({name, at::randn(sizes).requires_grad_(true)});
      fisher.push_back(at::rand(sizes).pow(4) * 1e-3);
    }
  }
  void Move(double by) {
    const at::NoGradGuard no_grad;
    for (auto& parameter : parameters) parameter.tensor.add_(at::randn(parameter.tensor.sizes()), by);
  }
  void Clear() {
    for (auto& parameter : parameters) parameter.tensor.mutable_grad() = at::Tensor();
  }
};

// The penalty by plain operators, with its gradient by autograd.
double Reference(const Held& held, const std::vector<at::Tensor>& anchors, const std::vector<at::Tensor>& fisher,
                 const std::function<at::Tensor(const at::Tensor& f, const at::Tensor& d)>& term,
                 std::vector<at::Tensor>* gradients) {
  at::Tensor sum = at::zeros({}, c10::kDouble);
  std::vector<at::Tensor> leaves;
  for (size_t i = 0; i < anchors.size(); ++i) {
    leaves.push_back(held.parameters[i].tensor.detach().to(c10::kDouble).requires_grad_(true));
    sum = sum + term(fisher[i].to(c10::kDouble), leaves[i] - anchors[i].to(c10::kDouble)).sum();
  }
  sum.backward();
  for (const at::Tensor& leaf : leaves) gradients->push_back(leaf.grad());
  return sum.item<double>();
}

void ExpectGradients(const Held& held, const std::vector<at::Tensor>& expected) {
  for (size_t i = 0; i < expected.size(); ++i) {
    const at::Tensor found = held.parameters[i].tensor.grad().to(c10::kDouble);
    EXPECT_TRUE(at::allclose(found, expected[i], 1e-5, 1e-9)) << held.parameters[i].name;
  }
}

std::vector<at::Tensor> Copies(const Held& held) {
  std::vector<at::Tensor> copies;
  for (const auto& parameter : held.parameters) copies.push_back(parameter.tensor.detach().clone());
  return copies;
}

double Largest(const std::vector<at::Tensor>& fisher) {
  double largest = 0;
  for (const at::Tensor& one : fisher) largest = std::max(largest, one.max().item<double>());
  return largest;
}

TEST(Ewc, NothingIsHeldBeforeTheFirstAnchorAndNothingPullsWhereItIs) {
  Held held;
  const auto ewc = *Ewc::Make({.strength = 100});
  EXPECT_FALSE(ewc->active());
  ASSERT_TRUE(ewc->AddAnchor(held.parameters, held.fisher).ok());
  EXPECT_TRUE(ewc->active());
  EXPECT_EQ(*ewc->AddGradient(held.parameters), 0);
  ewc->CountUpdate();
  for (const auto& parameter : held.parameters) EXPECT_TRUE(parameter.tensor.grad().eq(0).all().item<bool>());
  EXPECT_EQ(ewc->counts().with_gradient, 0);
}

TEST(Ewc, EveryFormIsItsFormulaWithTheGradientOfAutograd) {
  for (const char* form : {"raw", "scaled", "layer", "target", "dr", "l2"}) {
    SCOPED_TRACE(form);
    Held held;
    const EwcOptions options{.form = form, .strength = 3, .target = 5, .threshold = 0.05};
    const auto ewc = *Ewc::Make(options);
    const std::vector<at::Tensor> anchors = Copies(held);
    ASSERT_TRUE(ewc->AddAnchor(held.parameters, held.fisher).ok());
    held.Move(0.05);
    const double largest = Largest(held.fisher);
    double norms = 0;
    for (const at::Tensor& one : held.fisher) norms += one.norm().item<double>();
    const auto term = [&](const at::Tensor& f, const at::Tensor& d) -> at::Tensor {
      const std::string name = form;
      if (name == "raw") return 3 * f * d.square();
      if (name == "scaled") return 3 * f / largest * d.square();
      if (name == "layer") return 3 * f / f.max() * d.square();
      if (name == "target") return 3 * f * 5 / norms * d.square();
      if (name == "l2") return 3 * d.square();
      const at::Tensor live = (f / largest).ge(options.threshold);
      return at::where(live, 3 * f / largest * d.square(), -options.release * d.square().clamp_max(0.05 * 0.05));
    };
    std::vector<at::Tensor> gradients;
    const double expected = Reference(held, anchors, held.fisher, term, &gradients);
    const auto value = ewc->AddGradient(held.parameters);
    ASSERT_TRUE(value.ok()) << value.status();
    EXPECT_NEAR(*value, expected, 1e-6 * std::abs(expected));
    ExpectGradients(held, gradients);
    ewc->CountUpdate();
    EXPECT_EQ(ewc->counts().with_gradient, 1);
  }
}

TEST(Ewc, ScaledIsRawOfTheStrengthOverTheLargestBitForBit) {
  Held a, b;
  const double strength = 2.7;
  const auto scaled = *Ewc::Make({.form = "scaled", .strength = strength});
  const auto raw = *Ewc::Make({.strength = strength / Largest(a.fisher)});
  ASSERT_TRUE(scaled->AddAnchor(a.parameters, a.fisher).ok());
  ASSERT_TRUE(raw->AddAnchor(b.parameters, b.fisher).ok());
  for (int step = 0; step < 5; ++step) {
    at::manual_seed(static_cast<uint64_t>(step));
    a.Move(0.1);
    at::manual_seed(static_cast<uint64_t>(step));
    b.Move(0.1);
    a.Clear();
    b.Clear();
    EXPECT_EQ(*scaled->AddGradient(a.parameters), *raw->AddGradient(b.parameters));
    for (size_t i = 0; i < a.parameters.size(); ++i)
      EXPECT_TRUE(at::equal(a.parameters[i].tensor.grad(), b.parameters[i].tensor.grad()));
  }
}

TEST(Ewc, SeveralTasksAreOneOfTheSameFormWithTheSumOfAll) {
  Held held;
  const auto ewc = *Ewc::Make({.form = "scaled", .strength = 2});
  std::vector<std::vector<at::Tensor>> anchors, fishers;
  for (uint64_t task = 1; task <= 3; ++task) {
    const Held other(task);
    fishers.push_back(other.fisher);
    held.Move(0.2);
    anchors.push_back(Copies(held));
    ASSERT_TRUE(ewc->AddAnchor(held.parameters, other.fisher).ok());
  }
  held.Move(0.3);
  double expected = 0;
  std::vector<at::Tensor> sums;
  for (size_t task = 0; task < 3; ++task) {
    const double largest = Largest(fishers[task]);
    std::vector<at::Tensor> gradients;
    expected += Reference(
        held, anchors[task], fishers[task],
        [&](const at::Tensor& f, const at::Tensor& d) { return 2 * f / largest * d.square(); }, &gradients);
    for (size_t i = 0; i < gradients.size(); ++i) {
      if (task == 0) sums.push_back(gradients[i]);
      if (task > 0) sums[i] = sums[i] + gradients[i];
    }
  }
  EXPECT_NEAR(*ewc->AddGradient(held.parameters), expected, 1e-5 * expected);
  for (size_t i = 0; i < sums.size(); ++i)
    EXPECT_TRUE(at::allclose(held.parameters[i].tensor.grad().to(c10::kDouble), sums[i], 1e-4, 1e-6));
  // Two tensors for all tasks, and the newest anchor.
  EXPECT_EQ(ewc->Tensors().size(), 6u);
}

TEST(Ewc, TheLatestAnchorAloneCountsAsPublished) {
  Held held;
  const auto latest = *Ewc::Make({.strength = 2, .compat = "latest_anchor"});
  ASSERT_TRUE(latest->AddAnchor(held.parameters, held.fisher).ok());
  held.Move(0.2);
  ASSERT_TRUE(latest->AddAnchor(held.parameters, held.fisher).ok());
  EXPECT_EQ(*latest->AddGradient(held.parameters), 0);
}

// As published: where the reward for moving dominates, the sum is clamped at 0, and nothing is held at all.
TEST(Ewc, TheClampOfDrHasNoGradientWhereTheDeadPartDominates) {
  Held held;
  EwcOptions options{.form = "dr", .strength = 0.4, .threshold = 0.9, .release = 10, .compat = "dr_clamp"};
  const auto clamped = *Ewc::Make(options);
  ASSERT_TRUE(clamped->AddAnchor(held.parameters, held.fisher).ok());
  held.Move(0.5);
  held.Clear();
  EXPECT_EQ(*clamped->AddGradient(held.parameters), 0);
  clamped->CountUpdate();
  for (const auto& parameter : held.parameters) EXPECT_FALSE(parameter.tensor.grad().defined());
  EXPECT_EQ(clamped->counts().with_gradient, 0);
  EXPECT_EQ(clamped->counts().updates, 1);
  options.compat = "none";  // with a cap instead there is always a gradient
  Held other;
  const auto capped = *Ewc::Make(options);
  ASSERT_TRUE(capped->AddAnchor(other.parameters, other.fisher).ok());
  other.Move(0.01);
  EXPECT_LT(*capped->AddGradient(other.parameters), 0);
  capped->CountUpdate();
  EXPECT_EQ(capped->counts().with_gradient, 1);
}

TEST(Ewc, DrWithoutReleaseIsEwcOnTheLiveWeights) {
  Held a, b;
  const auto dr = *Ewc::Make({.form = "dr", .strength = 2, .threshold = 0, .release = 0});
  const auto scaled = *Ewc::Make({.form = "scaled", .strength = 2});
  ASSERT_TRUE(dr->AddAnchor(a.parameters, a.fisher).ok());
  ASSERT_TRUE(scaled->AddAnchor(b.parameters, b.fisher).ok());
  at::manual_seed(4);
  a.Move(0.1);
  at::manual_seed(4);
  b.Move(0.1);
  EXPECT_EQ(*dr->AddGradient(a.parameters), *scaled->AddGradient(b.parameters));
  for (size_t i = 0; i < a.parameters.size(); ++i)
    EXPECT_TRUE(at::equal(a.parameters[i].tensor.grad(), b.parameters[i].tensor.grad()));
}

TEST(Ewc, ItsStateComesBackBitForBit) {
  for (const int tasks : {1, 2}) {
    for (const char* form : {"layer", "dr"}) {
      Held held;
      const EwcOptions options{.form = form, .strength = 3};
      const auto first = *Ewc::Make(options), second = *Ewc::Make(options);
      for (int task = 0; task < tasks; ++task) {
        held.Move(0.1);
        ASSERT_TRUE(first->AddAnchor(held.parameters, held.fisher).ok());
      }
      held.Move(0.1);
      const double value = *first->AddGradient(held.parameters);
      first->CountUpdate();
      NamedTensors tensors;
      for (const auto& [name, tensor] : first->Tensors()) tensors.emplace_back(name, tensor.clone());
      const absl::Status loaded = second->Load(tensors, nlohmann::json::parse(first->State().dump()));
      ASSERT_TRUE(loaded.ok()) << loaded;
      const at::Tensor gradient = held.parameters[0].tensor.grad().clone();
      held.Clear();
      EXPECT_EQ(second->counts().last, value);
      EXPECT_EQ(*second->AddGradient(held.parameters), value);
      second->CountUpdate();
      EXPECT_TRUE(at::equal(held.parameters[0].tensor.grad(), gradient));
      EXPECT_EQ(second->Distance(held.parameters), first->Distance(held.parameters));
      EXPECT_GT(first->Distance(held.parameters), 0);
      EXPECT_EQ(second->counts().updates, 2);
    }
  }
}

TEST(Ewc, BadOptionsAndDeadGradientsAreNamed) {
  ExpectStatus(Ewc::Make({.strength = -1}).status(), ExitCode::kConfig, {"strength is -1"});
  ExpectStatus(Ewc::Make({.compat = "dr_clamp"}).status(), ExitCode::kConfig, {"form='dr'"});
  Held held;
  for (at::Tensor& one : held.fisher) one.mul_(1e-20);
  const auto scaled = *Ewc::Make({.form = "scaled"});
  ExpectStatus(scaled->AddAnchor(held.parameters, held.fisher).status(), ExitCode::kNumerics, {"below 1e-10"});
  EXPECT_TRUE((*Ewc::Make({}))->AddAnchor(held.parameters, held.fisher).ok());
}

}  // namespace
}  // namespace lanthorn::train
