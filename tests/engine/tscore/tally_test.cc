// One score over several backward passes, and by groups, against one backward per sample in float64.
#include "engine/tscore/tally.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include "tests/engine/nn/make_layers.h"
#include "tests/engine/tscore/sample_loop.h"

namespace lanthorn::tscore {
namespace {

// embed -> rnn -> head with a loss that sums over the samples.
struct Net {
  std::shared_ptr<nn::Sequential> model = CharRnn("GRU", 7, 3, 4, /*layers=*/1);
  at::Tensor x, y;
  explicit Net(int64_t samples) {
    at::manual_seed(8);
    model->To(c10::kCPU, c10::kDouble);
    x = at::randint(7, {samples, 5}, c10::kLong);
    y = at::randint(7, {samples, 5}, c10::kLong);
  }
  at::Tensor Loss(int64_t first, int64_t count) const {
    const at::Tensor logits = model->Forward(x.narrow(0, first, count), nullptr);
    return at::cross_entropy_loss(logits.reshape({-1, 7}), y.narrow(0, first, count).reshape({-1}), {}, /*sum=*/2);
  }
  Score InParts(const std::vector<int64_t>& sizes, Grouping grouping = Grouping::kNone) const {
    const auto parameters = model->Parameters();
    model->ZeroGrad();
    Tally tally(grouping);
    int64_t first = 0;
    for (int64_t size : sizes) {
      const Recorder::Ptr recorder = tally.Open(parameters, size);
      const at::Tensor loss = Loss(first, size);
      recorder->Close();
      loss.backward();
      EXPECT_TRUE(tally.Add(recorder.get(), parameters, /*verify=*/true).ok());
      first += size;
    }
    const auto score = tally.Finish(parameters);
    EXPECT_TRUE(score.ok()) << score.status();
    return *score;
  }
};

TEST(Tally, PartsOfABatchScoreAsTheWholeBatch) {
  const Net net(6);
  const Score loop = LoopScore(*net.model, 6, [&](int64_t first, int64_t count) { return net.Loss(first, count); });
  for (const auto& sizes : std::vector<std::vector<int64_t>>{{6}, {2, 2, 2}, {3, 1, 2}, {1, 1, 1, 1, 1, 1}}) {
    const Score score = net.InParts(sizes);
    EXPECT_EQ(score.n, 6);
    EXPECT_NEAR(score.s, loop.s, 1e-11 * loop.s);
    EXPECT_NEAR(score.q, loop.q, 1e-11 * loop.q);
    EXPECT_NEAR(*score.t, *loop.t, 1e-11);
    ASSERT_EQ(score.sample_sq.size(), 6u);
    for (size_t i = 0; i < 6; ++i) EXPECT_NEAR(score.sample_sq[i], loop.sample_sq[i], 1e-11 * loop.sample_sq[i]);
  }
}

TEST(Tally, ScalingTheGradientsScalesTheSquares) {
  const Net net(4);
  const auto parameters = net.model->Parameters();
  Tally tally;
  const Recorder::Ptr recorder = tally.Open(parameters, 4);
  net.Loss(0, 4).backward();
  ASSERT_TRUE(tally.Add(recorder.get(), parameters, false).ok());
  const Score before = *tally.Finish(parameters);
  for (const auto& parameter : parameters) parameter.tensor.mutable_grad().mul_(0.25);
  tally.Scale(0.25);
  const Score after = *tally.Finish(parameters);
  EXPECT_NEAR(*after.t, *before.t, 1e-12);
  EXPECT_NEAR(after.sample_sq[2], before.sample_sq[2] / 16, 1e-14);
}

TEST(Tally, GroupsAreTheScoresOfTheirParametersAlone) {
  const Net net(5);
  const auto parameters = net.model->Parameters();
  for (const Grouping grouping : {Grouping::kModule, Grouping::kParameter}) {
    const Score score = net.InParts({2, 3}, grouping);
    std::map<std::string, std::vector<at::Tensor>> rows;  // per group, each sample's gradient as one row
    std::vector<std::string> order;
    for (const auto& parameter : parameters) {
      const bool module = grouping == Grouping::kModule;
      const std::string name = module ? parameter.name.substr(0, parameter.name.find('.')) : parameter.name;
      if (rows.count(name) == 0) order.push_back(name);
      std::vector<at::Tensor> own;
      for (int64_t i = 0; i < 5; ++i) {
        net.model->ZeroGrad();
        net.Loss(i, 1).backward();
        own.push_back(parameter.tensor.grad().flatten().clone());
      }
      rows[name].push_back(at::stack(own));
    }
    ASSERT_EQ(score.groups.size(), order.size());
    double s = 0, q = 0;
    for (size_t i = 0; i < order.size(); ++i) {
      const GroupScore& group = score.groups[i];
      EXPECT_EQ(group.name, order[i]);
      const at::Tensor g = at::cat(rows[order[i]], 1);
      const double expected_s = g.sum(0).square().sum().item<double>(), expected_q = g.square().sum().item<double>();
      EXPECT_NEAR(group.s, expected_s, 1e-11 * expected_s) << group.name;
      EXPECT_NEAR(group.q, expected_q, 1e-11 * expected_q) << group.name;
      EXPECT_NEAR(*group.t, 1 - expected_s / (5 * expected_q), 1e-11) << group.name;
      EXPECT_NEAR(*group.t_corrected, *group.t * 5 / 4, 1e-12) << group.name;
      s += group.s;
      q += group.q;
    }
    EXPECT_NEAR(s, score.s, 1e-11 * s);
    EXPECT_NEAR(q, score.q, 1e-11 * q);
  }
  EXPECT_TRUE(net.InParts({5}).groups.empty());
  EXPECT_EQ(ExitCodeOf(GroupingOf("layer").status()), ExitCode::kConfig);
}

// Two layers of which a micro-batch may use one only.
struct Branches {
  std::shared_ptr<nn::Sequential> model = std::make_shared<nn::Sequential>();
  ModulePtr a = Linear(3, 2), b = Linear(3, 2);
  at::Tensor x = at::randn({4, 3});
  Tally tally;
  Branches() {
    model->AddChild("a", a);
    model->AddChild("b", b);
  }
  template <typename Forward>
  absl::Status Pass(int64_t first, const Forward& forward) {
    const auto parameters = model->Parameters();
    const Recorder::Ptr recorder = tally.Open(parameters, 2);
    const at::Tensor loss = forward(x.narrow(0, first, 2)).square().sum();
    recorder->Close();
    loss.backward();
    return tally.Add(recorder.get(), parameters, /*verify=*/true);
  }
};

TEST(Tally, AMicroBatchMayLeaveALayerOut) {
  at::manual_seed(2);
  Branches net;
  ASSERT_TRUE(
      net.Pass(0, [&](const at::Tensor& x) { return net.a->Forward(x, nullptr) + net.b->Forward(x, nullptr); }).ok());
  const absl::Status second = net.Pass(2, [&](const at::Tensor& x) { return net.b->Forward(x, nullptr); });
  EXPECT_TRUE(second.ok()) << second;
  EXPECT_EQ(net.tally.Finish(net.model->Parameters())->n, 4);
}

TEST(Tally, AnUnreportedUseInALaterMicroBatchIsFound) {
  at::manual_seed(2);
  Branches net;
  const auto both = [&](const at::Tensor& x) { return net.a->Forward(x, nullptr) + net.b->Forward(x, nullptr); };
  ASSERT_TRUE(net.Pass(0, both).ok());
  const absl::Status second = net.Pass(
      2, [&](const at::Tensor& x) { return net.b->Forward(x, nullptr) + at::linear(x, net.a->Own("weight")); });
  EXPECT_EQ(ExitCodeOf(second), ExitCode::kConfig);
  EXPECT_NE(MessageOf(second).find("'a.weight' received a gradient but no layer reported"), std::string::npos)
      << second;
}

}  // namespace
}  // namespace lanthorn::tscore
