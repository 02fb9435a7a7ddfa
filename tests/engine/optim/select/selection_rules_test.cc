// What each rule of selection selects.
#include <algorithm>

#include "tests/engine/optim/select/selection_model.h"

namespace lanthorn::optim {
namespace {

TEST(SelectionRules, TopKTakesTheLargestAndTheFirstOfEquals) {
  Model model({3, 3});
  std::vector<double> norms(13, 0.5);
  norms[7] = 3;
  SelectionOptions options = Rule("topk");
  options.k = 1;
  const auto one = Select(model, options);
  model.SetGradients(norms, 1);
  one->Prepare(model.all);
  EXPECT_EQ(Selected(*one), (std::vector<int64_t>{7}));
  for (const NamedParameter& p : model.all) p.tensor.mutable_grad() = at::ones_like(p.tensor);
  options.k = 5;
  const auto five = Select(model, options);
  five->Prepare(model.all);
  EXPECT_EQ(Selected(*five), (std::vector<int64_t>{0, 1, 2, 3, 4}));
}

TEST(SelectionRules, LowestTakesTheSmallestChildAndTiesGoToTheFirst) {
  Model model({3, 3});
  std::vector<double> norms(13, 1);
  norms[9] = 0.2;
  norms[11] = 0.1;
  EXPECT_EQ(SelectedBy("lowest", &model, norms), (std::vector<int64_t>{0, 9, 11}));
  for (const NamedParameter& p : model.all) p.tensor.mutable_grad() = at::ones_like(p.tensor);
  const auto path = Select(model, Rule("path"));
  path->Prepare(model.all);
  EXPECT_EQ(Selected(*path), (std::vector<int64_t>{0, 1, 2}));
}

TEST(SelectionRules, RoundRobinVisitsEveryLeafEquallyOften) {
  Model model({4, 3, 2});
  const auto selection = Select(model, Rule("round_robin"));
  model.SetGradients(Random(41, 1), 1);
  for (int step = 0; step < 48; ++step) selection->Prepare(model.all);
  EXPECT_TRUE(at::equal(selection->histogram(), at::full({1, 24}, 2.0, c10::kDouble)));
  EXPECT_DOUBLE_EQ(selection->count()[0].item<double>(), 48);
}

TEST(SelectionRules, RandomPathsAreDrawnEvenlyAndOnlyByTheSeed) {
  Model model({3, 3});
  model.SetGradients(Random(13, 1), 1);
  const auto a = Select(model, Rule("random_path")), b = Select(model, Rule("random_path"));
  SelectionOptions other = Rule("random_path");
  other.seed = 1;
  const auto c = Select(model, other);
  at::manual_seed(5);
  for (int step = 0; step < 900; ++step) {
    a->Prepare(model.all);
    (void)at::rand({3});  // streams are apart
    b->Prepare(model.all);
    c->Prepare(model.all);
    ASSERT_EQ(Selected(*a), Selected(*b));
  }
  EXPECT_FALSE(at::equal(a->histogram(), c->histogram()));
  // 900 draws over 9 leaves: 100 each with a standard deviation of 9.4.
  EXPECT_GT(a->histogram().min().item<double>(), 50);
  EXPECT_LT(a->histogram().max().item<double>(), 150);
}

TEST(SelectionRules, CooldownPassesOverWhatWasMovedJustNow) {
  Model model({3});
  SelectionOptions options = Rule("cooldown");
  options.cooldown = 3;
  options.explore = 0;
  const auto selection = Select(model, options);
  model.SetGradients({1, 3, 2, 1}, 1);
  std::vector<int64_t> order;
  for (int step = 0; step < 6; ++step) {
    selection->Prepare(model.all);
    order.push_back(Selected(*selection)[1]);
  }
  EXPECT_EQ(order, (std::vector<int64_t>{1, 2, 3, 1, 2, 3}));
  options.cooldown = 100;  // all rest: the one that waited longest
  const auto resting = Select(model, options);
  order.clear();
  for (int step = 0; step < 6; ++step) {
    resting->Prepare(model.all);
    order.push_back(Selected(*resting)[1]);
  }
  EXPECT_EQ(order, (std::vector<int64_t>{1, 2, 3, 1, 2, 3}));
}

TEST(SelectionRules, UcbSpreadsTheUpdatesThatThePathGivesToOneLeaf) {
  Model model({3, 3});
  std::vector<double> norms(13, 0.1);
  norms[1] = norms[2] = 5;
  model.SetGradients(norms, 1);
  const auto path = Select(model, Rule("path")), ucb = Select(model, Rule("ucb"));
  for (int step = 0; step < 300; ++step) {
    path->Prepare(model.all);
    ucb->Prepare(model.all);
  }
  EXPECT_DOUBLE_EQ(path->histogram().max().item<double>(), 300);
  EXPECT_LT(ucb->histogram().max().item<double>(), 150);
}

TEST(SelectionRules, WeightTopKMovesTheLargestEntriesOnly) {
  Model model({2});
  SelectionOptions options = Rule("weight_topk");
  options.percent = 10;
  const auto optimizer = Trained(model, "AdamW", {}, Select(model, options));
  model.SetGradients({1, 1, 1}, 1);
  std::vector<at::Tensor> before;
  for (const OwnedParameter& one : model.owned) before.push_back(one.parameter.tensor.detach().clone());
  optimizer->Step();
  int64_t moved = 0;
  double smallest_moved = 1e9, largest_kept = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    const at::Tensor& p = model.owned[i].parameter.tensor;
    const at::Tensor changed = p.detach().ne(before[i]), size = p.grad().abs();
    moved += changed.sum().item<int64_t>();
    if (changed.any().item<bool>())
      smallest_moved = std::min(smallest_moved, size.index({changed}).min().item<double>());
    largest_kept = std::max(largest_kept, size.index({changed.logical_not()}).max().item<double>());
  }
  EXPECT_EQ(moved, 6);  // of 60
  EXPECT_GT(smallest_moved, largest_kept);
}

TEST(SelectionRules, ThePublishedFactorsAreProductsDownThePathAndNoNodeStandsStill) {
  Model model({2, 2});
  const std::vector<double> norms = {1, 2, 3, 0.5, 1, 0.5, 0.5};  // r r.1 r.1.1 r.1.2 r.2 r.2.1 r.2.2
  const auto selection = Select(model, Rule("published"));
  model.SetGradients(norms, 1);
  selection->Prepare(model.all);
  // A node's two tensors have norm / sqrt(2) each, so the sum of tensor norms is sqrt(2) times the node's norm, and the
  // common factor leaves the shares alone.
  const double root = 8.5, child = 5.5, leaf = 3, sum = root + child + leaf;
  const double s0 = std::min(0.3, root / sum), s1 = std::min(0.3, child / sum), s2 = std::min(1.0, 0.5 + leaf / sum);
  const std::vector<double> expected = {s0, s0 * s1, s0 * s1 * s2, s0 * s1, s0, s0, s0};
  for (int64_t i = 0; i < 7; ++i)
    EXPECT_NEAR(selection->factors()[i].item<double>(), expected[static_cast<size_t>(i)], 1e-9) << i;
  EXPECT_EQ(selection->options().apply, "gradient");
  EXPECT_DOUBLE_EQ(selection->histogram()[0][0].item<double>(), 1);  // r.1.1 ends the path
}

TEST(SelectionRules, ThePublishedRuleBlamesTheLeafOfItsPathNotTheLeafWithTheLargestNorm) {
  Model model({2, 2});
  const auto selection = Select(model, Rule("published"));
  model.SetGradients({1, 2, 3, 3, 0.1, 4, 0.1}, 1);  // below r.2 is the largest leaf, below r.1 the larger sum
  selection->Prepare(model.all);
  EXPECT_DOUBLE_EQ(selection->histogram()[0][2].item<double>(), 0);
  EXPECT_DOUBLE_EQ(selection->histogram()[0].narrow(0, 0, 2).sum().item<double>(), 1);
}

TEST(SelectionRules, WithoutAnyGradientNothingIsSelectedAndItIsCounted) {
  Model model({3});
  const auto path = Select(model, Rule("path")), turns = Select(model, Rule("round_robin"));
  for (const NamedParameter& p : model.all) p.tensor.mutable_grad() = at::zeros_like(p.tensor);
  path->Prepare(model.all);
  turns->Prepare(model.all);
  EXPECT_TRUE(Selected(*path).empty());
  EXPECT_DOUBLE_EQ(path->no_signal().item<double>(), 1);
  EXPECT_DOUBLE_EQ(path->histogram().sum().item<double>(), 0);
  EXPECT_EQ(Selected(*turns).size(), 2u);
}

}  // namespace
}  // namespace lanthorn::optim
