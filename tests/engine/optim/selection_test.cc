// Selective training: what moves, what keeps its bits, and what each rule selects.
#include "engine/optim/selection.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <ATen/record_function.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/engine/optim/make_optimizer.h"

namespace lanthorn::optim {
namespace {

using nn::NodeTree;

// A tree whose nodes have a matrix and a vector each, stacked by level, beside a shared parameter.
struct Model {
  NodeTree tree;
  std::vector<OwnedParameter> owned;
  NamedParameter shared;
  std::vector<NamedParameter> all;

  explicit Model(std::vector<int64_t> branching, c10::ScalarType dtype = c10::kFloat)
      : tree(*NodeTree::Make(std::move(branching))) {
    at::manual_seed(3);
    const auto leaf = [&](std::vector<int64_t> shape) { return at::randn(shape).to(dtype).set_requires_grad(true); };
    for (int64_t level = 0; level < tree.levels(); ++level) {
      const std::string prefix = "level" + std::to_string(level) + ".";
      owned.push_back({{prefix + "weight", leaf({tree.size(level), 3, 5})}, tree.of_level(level)});
      owned.push_back({{prefix + "bias", leaf({tree.size(level), 5})}, tree.of_level(level)});
    }
    shared = {"head", leaf({4, 3})};
    for (const OwnedParameter& one : owned) all.push_back(one.parameter);
    all.push_back(shared);
  }

  // Gradients whose norm in node i is norms[i].
  void SetGradients(const std::vector<double>& norms, uint64_t seed) {
    at::manual_seed(seed);
    for (const OwnedParameter& one : owned) {
      at::Tensor gradient = at::randn(one.parameter.tensor.sizes()).to(one.parameter.tensor.scalar_type());
      for (size_t i = 0; i < one.nodes.size(); ++i) {
        at::Tensor slice = gradient[static_cast<int64_t>(i)];
        // Two tensors share a node's norm equally.
        slice.mul_(norms[static_cast<size_t>(one.nodes[i])] / slice.norm().item<double>() / std::sqrt(2.0));
      }
      one.parameter.tensor.mutable_grad() = gradient;
    }
    shared.tensor.mutable_grad() = at::randn({4, 3}).to(shared.tensor.scalar_type());
  }

  // All values of node i, one after the other.
  at::Tensor Node(int64_t node) const {
    std::vector<at::Tensor> parts;
    for (const OwnedParameter& one : owned) {
      for (size_t i = 0; i < one.nodes.size(); ++i) {
        if (one.nodes[i] == node) parts.push_back(one.parameter.tensor.detach()[static_cast<int64_t>(i)].flatten());
      }
    }
    return at::cat(parts).clone();
  }
};

std::vector<double> Random(int64_t count, uint64_t seed) {
  at::manual_seed(seed);
  const at::Tensor values = at::rand({count}, c10::kDouble) + 0.1;
  return {values.data_ptr<double>(), values.data_ptr<double>() + count};
}

std::shared_ptr<Selection> Select(const Model& model, const SelectionOptions& options) {
  auto made = Selection::Make(model.tree, model.owned, options);
  EXPECT_TRUE(made.ok()) << made.status();
  return *made;
}

SelectionOptions Rule(const std::string& name) {
  SelectionOptions options;
  options.rule = name;
  return options;
}

std::unique_ptr<Optimizer> Trained(const Model& model, const std::string& name, const Options& given,
                                   std::shared_ptr<Selection> selection) {
  auto optimizer = MakeOptimizer(name);
  optimizer->AddGroup(model.all, OptionsOf(name, given));
  optimizer->SetMask(std::move(selection));
  return optimizer;
}

std::vector<int64_t> Selected(const Selection& selection) {
  std::vector<int64_t> nodes;
  for (int64_t i = 0; i < selection.factors().numel(); ++i) {
    if (selection.factors()[i].item<double>() > 0) nodes.push_back(i);
  }
  return nodes;
}

// After one update of `model` by gradients of these norms.
std::vector<int64_t> SelectedBy(const std::string& rule, Model* model, const std::vector<double>& norms) {
  const auto selection = Select(*model, Rule(rule));
  model->SetGradients(norms, 1);
  selection->Prepare(model->all);
  return Selected(*selection);
}

TEST(Selection, ThePathFollowsTheLargestChildAndScalesFromTheLeafUp) {
  Model model({3, 3});
  std::vector<double> norms(13, 0.1);
  norms[5] = 2;   // r.2
  norms[8] = 1;   // r.2.3
  norms[12] = 9;  // r.3.3, below a node that is not on the path
  const auto selection = Select(model, Rule("path"));
  model.SetGradients(norms, 1);
  selection->Prepare(model.all);
  EXPECT_EQ(Selected(*selection), (std::vector<int64_t>{0, 5, 8}));
  EXPECT_DOUBLE_EQ(selection->factors()[0].item<double>(), 0.05);
  EXPECT_DOUBLE_EQ(selection->factors()[5].item<double>(), 0.15);
  EXPECT_DOUBLE_EQ(selection->factors()[8].item<double>(), 1);
  for (int64_t node = 0; node < 13; ++node)
    EXPECT_NEAR(selection->score()[node].item<double>(), norms[static_cast<size_t>(node)], 1e-6);
  EXPECT_DOUBLE_EQ(selection->histogram()[0][5].item<double>(), 1);  // the sixth leaf
}

TEST(Selection, OffThePathNoBitChangesUnderPrimedMomentumAndDecay) {
  for (const auto& [name, given] :
       std::vector<std::pair<std::string, Options>>{{"AdamW", {{"weight_decay", 0.1}}},
                                                    {"Adam", {{"weight_decay", 0.1}}},
                                                    {"SGD", {{"momentum", 0.9}, {"weight_decay", 0.1}}},
                                                    {"RMSprop", {{"momentum", 0.9}, {"centered", 1}}}}) {
    for (const c10::ScalarType dtype : {c10::kFloat, c10::kDouble}) {
      Model model({3, 3}, dtype);
      const auto optimizer = Trained(model, name, given, nullptr);
      for (uint64_t step = 0; step < 5; ++step) {  // primes the momentum
        model.SetGradients(Random(13, step), step);
        optimizer->Step();
      }
      const auto selection = Select(model, Rule("path"));
      optimizer->SetMask(selection);
      for (uint64_t step = 0; step < 100; ++step) {
        std::vector<at::Tensor> before;
        for (int64_t node = 0; node < 13; ++node) before.push_back(model.Node(node));
        model.SetGradients(Random(13, 100 + step), step);
        optimizer->Step();
        const std::vector<int64_t> path = Selected(*selection);
        ASSERT_EQ(path.size(), 3u);
        for (int64_t node = 0; node < 13; ++node) {
          const bool on_path = std::find(path.begin(), path.end(), node) != path.end();
          ASSERT_EQ(at::equal(before[static_cast<size_t>(node)], model.Node(node)), !on_path) << name << " " << node;
        }
      }
    }
  }
}

TEST(Selection, EveryNodeAtFullShareIsThePlainOptimizerBitForBit) {
  for (const char* name : {"AdamW", "SGD", "RMSprop"}) {
    Model plain({3, 3}), masked({3, 3});
    SelectionOptions options = Rule("topk");
    options.k = 13;
    const auto a = Trained(plain, name, {}, nullptr), b = Trained(masked, name, {}, Select(masked, options));
    for (uint64_t step = 0; step < 10; ++step) {
      plain.SetGradients(Random(13, step), step);
      masked.SetGradients(Random(13, step), step);
      a->Step(0.7);
      b->Step(0.7);
    }
    for (size_t i = 0; i < plain.all.size(); ++i) EXPECT_TRUE(at::equal(plain.all[i].tensor, masked.all[i].tensor));
  }
}

TEST(Selection, AShareMovesAWeightThatFarOfItsUpdate) {
  for (const c10::ScalarType dtype : {c10::kFloat, c10::kDouble}) {
    Model plain({2}, dtype), masked({2}, dtype);
    SelectionOptions options = Rule("path");
    options.scales = {0.25};
    const at::Tensor before = masked.Node(0);
    plain.SetGradients({1, 2, 3}, 1);
    masked.SetGradients({1, 2, 3}, 1);
    Trained(plain, "AdamW", {}, nullptr)->Step();
    Trained(masked, "AdamW", {}, Select(masked, options))->Step();
    EXPECT_TRUE(at::allclose(masked.Node(0), before + 0.25 * (plain.Node(0) - before), 0, 1e-7));
  }
}

TEST(Selection, NothingMovesWithNoNodesAndNoSharedParameters) {
  Model model({3, 3});
  SelectionOptions options = Rule("none");
  options.shared = 0;
  const auto optimizer = Trained(model, "AdamW", {}, Select(model, options));
  std::vector<at::Tensor> before;
  for (const NamedParameter& one : model.all) before.push_back(one.tensor.detach().clone());
  for (uint64_t step = 0; step < 5; ++step) {
    model.SetGradients(Random(13, step), step);
    optimizer->Step();
  }
  for (size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(at::equal(before[i], model.all[i].tensor));
}

TEST(Selection, OneRunOfTensorOperatorsGivesTheUpdateOfTheOnePassKernels) {
  for (const char* rule : {"path", "topk", "weight_topk", "published"}) {
    for (const char* moments : {"global", "lazy"}) {
      for (const char* name : {"AdamW", "SGD", "RMSprop"}) {
        if (std::string(rule) == "weight_topk" && std::string(moments) == "lazy") continue;
        Model one({2, 2}, c10::kFloat), wide({2, 2}, c10::kDouble);
        SelectionOptions options = Rule(rule);
        options.moments = moments;
        options.k = 2;
        const auto a = Trained(one, name, {}, Select(one, options)), b = Trained(wide, name, {}, Select(wide, options));
        for (uint64_t step = 0; step < 8; ++step) {
          one.SetGradients(Random(7, step), step);
          for (size_t i = 0; i < one.all.size(); ++i)
            wide.all[i].tensor.mutable_grad() = one.all[i].tensor.grad().to(c10::kDouble);
          a->Step();
          b->Step();
        }
        for (size_t i = 0; i < one.all.size(); ++i) {
          EXPECT_TRUE(at::allclose(one.all[i].tensor.to(c10::kDouble), wide.all[i].tensor, 1e-5, 1e-5))
              << rule << " " << moments << " " << name << " " << one.all[i].name;
        }
      }
    }
  }
}

TEST(Selection, LazyMomentsOfANodeWaitForItsNextUpdate) {
  Model model({2}), alone({2});
  SelectionOptions options = Rule("round_robin");
  options.moments = "lazy";
  options.scales = {1};
  const auto masked = Trained(model, "AdamW", {}, Select(model, options)), plain = Trained(alone, "AdamW", {}, nullptr);
  for (uint64_t step = 0; step < 6; ++step) {
    model.SetGradients({1, 1, 1}, step);
    masked->Step();
    if (step % 2 != 0) continue;  // the first leaf's turn
    alone.SetGradients({1, 1, 1}, step);
    plain->Step();
  }
  EXPECT_TRUE(at::equal(model.Node(1), alone.Node(1)));
}

TEST(Selection, ScaledGradientsHardlyChangeAdamAndMaskedUpdatesDo) {
  Model plain({2}), gradient({2});
  SelectionOptions options = Rule("path");
  options.scales = {0.002};
  options.apply = "gradient";
  const at::Tensor before = plain.Node(0);
  plain.SetGradients({1, 1, 2}, 1);
  gradient.SetGradients({1, 1, 2}, 1);
  Trained(plain, "AdamW", {{"eps", 1e-12}}, nullptr)->Step();
  Trained(gradient, "AdamW", {{"eps", 1e-12}}, Select(gradient, options))->Step();
  const at::Tensor moved = plain.Node(0) - before;
  EXPECT_LT((gradient.Node(0) - before - moved).abs().max().item<double>(), 0.01 * moved.abs().max().item<double>());
}

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

TEST(Selection, NormsMayBeTakenByLevelOrRelativeToTheWeights) {
  Model model({3, 3});
  model.SetGradients(std::vector<double>(13, 2), 1);
  SelectionOptions options = Rule("path");
  options.norm = "level";
  const auto level = Select(model, options);
  level->Prepare(model.all);
  EXPECT_NEAR(level->score()[0].item<double>(), 2, 1e-6);
  EXPECT_NEAR(level->score()[1].item<double>(), 6, 1e-6);
  EXPECT_NEAR(level->score()[2].item<double>(), 18, 1e-6);
  options.norm = "relative";
  const auto relative = Select(model, options);
  relative->Prepare(model.all);
  EXPECT_NEAR(relative->score()[3].item<double>(), 2 / model.Node(3).norm().item<double>(), 1e-6);
}

TEST(Selection, CountsTravelInTheStateOfTheOptimizer) {
  Model model({3, 3}), other({3, 3});
  SelectionOptions options = Rule("cooldown");
  options.moments = "lazy";
  const auto a = Select(model, options), b = Select(other, options);
  const auto first = Trained(model, "AdamW", {}, a), second = Trained(other, "AdamW", {}, b);
  for (uint64_t step = 0; step < 7; ++step) {
    model.SetGradients(Random(13, step), step);
    first->Step();
  }
  {
    const at::NoGradGuard no_grad;
    for (size_t i = 0; i < model.all.size(); ++i) other.all[i].tensor.copy_(model.all[i].tensor);
  }
  const absl::Status loaded = second->LoadState(first->StateTensors(), first->steps());
  ASSERT_TRUE(loaded.ok()) << loaded;
  EXPECT_EQ(b->steps(), 7);
  for (uint64_t step = 7; step < 14; ++step) {
    for (Model* one : {&model, &other}) one->SetGradients(Random(13, step), step);
    first->Step();
    second->Step();
  }
  EXPECT_TRUE(at::equal(a->count(), b->count()));
  EXPECT_TRUE(at::equal(a->last(), b->last()));
  for (size_t i = 0; i < model.all.size(); ++i) EXPECT_TRUE(at::equal(model.all[i].tensor, other.all[i].tensor));
  // A state of another tree is refused.
  Model small({3});
  const auto third = Trained(small, "AdamW", {}, Select(small, options));
  EXPECT_FALSE(third->LoadState(first->StateTensors(), 7).ok());
}

TEST(Selection, DistanceIsZeroExactlyForNodesThatNeverMoved) {
  Model model({3});
  const auto selection = Select(model, Rule("path"));
  const auto optimizer = Trained(model, "AdamW", {}, selection);
  for (uint64_t step = 0; step < 5; ++step) {
    model.SetGradients({1, 1, 5, 1}, step);
    optimizer->Step();
  }
  const at::Tensor distance = selection->Distance();
  EXPECT_EQ(distance[1].item<double>(), 0);
  EXPECT_EQ(distance[3].item<double>(), 0);
  EXPECT_GT(distance[2].item<double>(), 0);
  EXPECT_EQ(selection->ParametersOf(2), 20);
}

TEST(Selection, ReadsNothingBackInAStepOfAnyRule) {
  // What a read of a tensor's value calls, whatever the device.
  static int64_t reads;
  const auto handle = at::addGlobalCallback(
      at::RecordFunctionCallback([](const at::RecordFunction& f) -> std::unique_ptr<at::ObserverContext> {
        const std::string name = f.name();
        if (name == "aten::item" || name == "aten::_local_scalar_dense" || name == "aten::nonzero") ++reads;
        return nullptr;
      }));
  for (const auto& [name, spec] : SelectionRules()) {
    for (const c10::ScalarType dtype : {c10::kFloat, c10::kDouble}) {  // by one-pass sums, and by tensor operators
      Model model({3, 2}, dtype);
      const auto selection = Select(model, Rule(name));
      model.SetGradients(Random(10, 1), 1);
      reads = 0;
      for (int step = 0; step < 3; ++step) selection->Prepare(model.all);
      EXPECT_EQ(reads, 0) << name;
    }
  }
  (void)at::ones({}).item<double>();
  EXPECT_GT(reads, 0);
  at::removeCallback(handle);
}

TEST(Selection, OptionsThatMakeNoSenseAreNamed) {
  const Model model({3, 3});
  const auto message = [&](SelectionOptions options) {
    const auto made = Selection::Make(model.tree, model.owned, std::move(options));
    return made.ok() ? "" : std::string(made.status().message());
  };
  EXPECT_NE(message(Rule("pth")).find("select.rule 'pth' is none of all, "), std::string::npos);
  EXPECT_NE(message(Rule("pth")).find("did you mean 'path'"), std::string::npos);
  SelectionOptions options = Rule("topk");
  options.k = 14;
  EXPECT_EQ(message(options), "select.k 14 is outside of 1 to 13, the number of nodes");
  options = Rule("path");
  options.scales = {1, 1.5};
  EXPECT_EQ(message(options), "select.scales: 1.5 is outside of 0 to 1");
  options = Rule("path");
  options.shared = -1;
  EXPECT_EQ(message(options), "select.shared -1 is outside of 0 to 1");
  const auto selection = Select(model, Rule("path"));
  EXPECT_THROW(selection->SetDomain(1), c10::Error);
  Model partial({3});
  partial.owned.pop_back();
  partial.owned.pop_back();
  EXPECT_EQ(Selection::Make(partial.tree, partial.owned, Rule("path")).status().message(),
            "select: 1 nodes own parameters, the tree has 4");
}

}  // namespace
}  // namespace lanthorn::optim
