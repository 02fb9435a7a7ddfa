#include "engine/train/continual/sleep.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/engine/train/tiny.h"

namespace lanthorn::train {
namespace {

struct Net {
  std::vector<nn::NamedParameter> parameters;
  explicit Net(bool gaussian) {
    at::manual_seed(3);
    const at::Tensor weight = gaussian ? at::randn({400, 500}) : at::rand({400, 500}) * 2 - 1;
    parameters = {{"fc.weight", weight.requires_grad_(true)},
                  {"fc.bias", at::randn({400}).requires_grad_(true)},
                  {"scale.weight", at::full({1}, 2.0).requires_grad_(true)}};
  }
};

TEST(SleepOfGodelAI, PrunesTheShareThatTheDistributionSays) {
  Net uniform(false), gaussian(true);
  // |W| <= 0.1 std: uniform 0.1 / sqrt 3, Gaussian 2 Phi(0.1) - 1.
  const auto share = [](const SleepReport& report) {
    return static_cast<double>(report.pruned) / static_cast<double>(report.weights);
  };
  EXPECT_NEAR(share(Sleep(uniform.parameters, {})), 0.058, 0.002);
  EXPECT_NEAR(share(Sleep(gaussian.parameters, {})), 0.080, 0.002);
}

TEST(SleepOfGodelAI, LeavesBiasesBitForBitAndASingleWeightUnpruned) {
  Net net(true);
  const at::Tensor bias = net.parameters[1].tensor.detach().clone();
  Sleep(net.parameters, {.noise = 0});
  EXPECT_TRUE(at::equal(net.parameters[1].tensor, bias));
  EXPECT_NEAR(net.parameters[2].tensor.item<double>(), 2 * 0.995, 1e-6);
}

TEST(SleepOfGodelAI, PartsCanBeLeftOutAndNothingIsNothing) {
  Net net(true);
  const at::Tensor before = net.parameters[0].tensor.detach().clone();
  const SleepReport nothing = Sleep(net.parameters, {.prune = 0, .decay = 1, .noise = 0});
  EXPECT_TRUE(at::equal(net.parameters[0].tensor, before));
  EXPECT_EQ(nothing.pruned, 0);
  EXPECT_EQ(nothing.norm_before, nothing.norm_after);
  Sleep(net.parameters, {.prune = 0, .noise = 0});
  EXPECT_TRUE(at::allclose(net.parameters[0].tensor, before * 0.995));
}

TEST(SleepOfGodelAI, TheSeedMakesTheNoiseAndNoOtherStreamMoves) {
  Net a(true), b(true), c(true);
  at::manual_seed(5);
  const at::Tensor next = at::randn({3});
  at::manual_seed(5);
  Sleep(a.parameters, {.seed = 1});
  EXPECT_TRUE(at::equal(at::randn({3}), next));
  Sleep(b.parameters, {.seed = 1});
  Sleep(c.parameters, {.seed = 2});
  EXPECT_TRUE(at::equal(a.parameters[0].tensor, b.parameters[0].tensor));
  EXPECT_FALSE(at::equal(a.parameters[0].tensor, c.parameters[0].tensor));
}

// 860 sleeps leave noise alone: what is pruned, shrunk and shaken for ever has a standard deviation of about 0.0100.
TEST(SleepOfGodelAI, ForEverItLeavesNoise) {
  Net net(false);
  for (int64_t i = 0; i < 1500; ++i) Sleep(net.parameters, {.seed = i});
  EXPECT_NEAR(net.parameters[0].tensor.std().item<double>(), 0.0100, 0.0003);
}

// An observer that changes the weights before an update, and asks for the gradients again.
struct Sleeper final : Observer {
  nn::Module* model = nullptr;
  bool skip = false, twice = false;
  std::vector<double> before, after;
  absl::Status BeforeUpdate(const StepRecord& record, Verdict* verdict) override {
    if (record.step != 3) return absl::OkStatus();
    (record.again ? after : before).push_back(record.loss);
    if (!record.again || twice) {
      Sleep(model->Parameters(), {.prune = 0.5, .decay = 0.5});
      *verdict = Verdict::kAgain;
    } else if (skip) {
      *verdict = Verdict::kSkip;
    }
    return absl::OkStatus();
  }
};

struct Asleep {
  Tiny tiny;
  std::shared_ptr<Sleeper> sleeper = std::make_shared<Sleeper>();
  Asleep() : tiny({.options = {.train = {.max_steps = 6}, .tscore = {.every = 1}, .eval = {.off = true}}}) {
    sleeper->model = tiny.model.get();
    tiny.Start().AddObserver(sleeper);
  }
};

TEST(GradientsAgain, AreThoseOfTheChangedWeightsAndTStaysThatOfTheBatch) {
  Asleep asleep;
  Tiny plain({.options = {.train = {.max_steps = 6}, .tscore = {.every = 1}, .eval = {.off = true}}});
  ASSERT_TRUE(plain.Start().Run().ok());
  ASSERT_TRUE(asleep.tiny.trainer->Run().ok());
  const StepRecord& slept = asleep.tiny.notes->steps[2];
  const StepRecord& same = plain.notes->steps[2];
  ASSERT_EQ(asleep.sleeper->before.size(), 1u);
  EXPECT_EQ(asleep.sleeper->before[0], same.loss);
  EXPECT_EQ(asleep.sleeper->after[0], slept.loss);
  EXPECT_NE(slept.loss, same.loss);
  EXPECT_TRUE(slept.again);
  EXPECT_EQ(*slept.score->t, *same.score->t);
  EXPECT_NE(slept.grad_norm, same.grad_norm);
  EXPECT_FALSE(slept.skipped);
  EXPECT_EQ(slept.tokens_total, same.tokens_total);
  EXPECT_EQ(slept.tokens_forward_total, same.tokens_forward_total + slept.tokens);  // it went through twice
}

TEST(GradientsAgain, MayBeLeftOutAndMayNotBeAskedForTwice) {
  Asleep skipped;
  skipped.sleeper->skip = true;
  ASSERT_TRUE(skipped.tiny.trainer->Run().ok());
  EXPECT_TRUE(skipped.tiny.notes->steps[2].skipped);
  Asleep twice;
  twice.sleeper->twice = true;
  ExpectStatus(twice.tiny.trainer->Run().status(), ExitCode::kScript, {"again, twice"});
}

}  // namespace
}  // namespace lanthorn::train
