// Selective training: what moves and what keeps its bits.
#include <ATen/record_function.h>

#include <algorithm>

#include "tests/engine/optim/select/selection_model.h"

namespace lanthorn::optim {
namespace {

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

TEST(Selection, DeltaIsTheNormOfWhatEachUpdateChangedOfANode) {
  for (const c10::ScalarType dtype : {c10::kFloat, c10::kDouble}) {
    for (const auto& [rule, apply] : std::vector<std::pair<std::string, std::string>>{
             {"path", "delta"}, {"round_robin", "gradient"}, {"all", "delta"}, {"none", "delta"}}) {
      Model model({3, 2}, dtype);
      SelectionOptions options = Rule(rule);
      options.apply = apply;
      const auto selection = Select(model, options);
      const auto optimizer = Trained(model, "AdamW", {{"weight_decay", 0.1}}, selection);
      std::vector<double> expected(10, 0.0);
      for (uint64_t step = 0; step < 6; ++step) {
        std::vector<at::Tensor> before;
        for (int64_t node = 0; node < 10; ++node) before.push_back(model.Node(node));
        model.SetGradients(Random(10, step), step);
        optimizer->Step();
        for (size_t node = 0; node < 10; ++node)
          expected[node] += (model.Node(static_cast<int64_t>(node)) - before[node]).norm().item<double>();
      }
      for (int64_t node = 0; node < 10; ++node) {
        const double sum = selection->delta_sum()[node].item<double>(), wanted = expected[static_cast<size_t>(node)];
        EXPECT_NEAR(sum, wanted, 1e-5 * wanted) << rule << " " << apply << " " << node;
      }
    }
  }
}

TEST(Selection, ZeroGradientsMoveWeightsByMomentumAndByDecayUnlessTheyAreMasked) {
  for (const Options& given : {Options{{"weight_decay", 0}}, Options{{"weight_decay", 0.1}}}) {
    Model plain({2}), masked({2});
    const auto optimizer = Trained(plain, "AdamW", given, nullptr);
    const auto resting = Trained(masked, "AdamW", given, Select(masked, Rule("none")));
    for (Model* model : {&plain, &masked}) model->SetGradients({1, 1, 1}, 1);
    if (given.at("weight_decay") == 0) {  // primes the momentum
      optimizer->Step();
      resting->Step();
    }
    const at::Tensor before = plain.Node(1), kept = masked.Node(1);
    for (Model* model : {&plain, &masked}) {
      for (const NamedParameter& one : model->all) one.tensor.mutable_grad().zero_();
    }
    optimizer->Step();
    resting->Step();
    EXPECT_FALSE(at::equal(plain.Node(1), before));
    EXPECT_TRUE(at::equal(masked.Node(1), kept));
  }
}

TEST(Selection, OfASingleNodeThePathIsTheRootAtTheLeafsShare) {
  for (const char* rule : {"path", "lowest", "random_path", "round_robin", "cooldown", "ucb", "published"}) {
    Model model({});
    const auto selection = Select(model, Rule(rule));
    model.SetGradients({1}, 1);
    selection->Prepare(model.all);
    EXPECT_DOUBLE_EQ(selection->factors()[0].item<double>(), 1) << rule;
    EXPECT_DOUBLE_EQ(selection->histogram()[0][0].item<double>(), 1) << rule;
  }
}

TEST(Selection, AnOnlyChildIsAlwaysTaken) {
  for (const char* rule : {"path", "lowest", "random_path", "round_robin", "cooldown", "ucb"}) {
    Model model({1, 2, 1});  // nodes 0, 1, then 2 over 3 and 4 over 5
    EXPECT_EQ(SelectedBy(rule, &model, {0, 0, 1, 0, 0, 0}).size(), 4u) << rule;
  }
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
      for (int step = 0; step < 3; ++step) {
        selection->Prepare(model.all);
        selection->Finish();
      }
      EXPECT_EQ(reads, 0) << name;
    }
  }
  (void)at::ones({}).item<double>();
  EXPECT_GT(reads, 0);
  at::removeCallback(handle);
}

TEST(Selection, GradientsThatAreNotFiniteMoveNothingAndAdvanceNoState) {
  const std::vector<std::pair<std::string, Options>> optimizers = {
      {"AdamW", {}}, {"SGD", {{"momentum", 0.9}}}, {"RMSprop", {{"momentum", 0.9}, {"centered", 1}}}};
  for (const c10::ScalarType dtype : {c10::kFloat, c10::kDouble}) {  // one pass, and tensor operators
    for (const auto& [name, given] : optimizers) {
      for (const char* rule : {"path", "topk", "ucb", "cooldown", "weight_topk", "published", "all"}) {
        Model model({2, 2}, dtype), untold({2, 2}, dtype);
        SelectionOptions options = Rule(rule);
        options.k = 2;
        const auto selection = Select(model, options), other = Select(untold, options);
        const auto optimizer = Trained(model, name, given, selection), plain = Trained(untold, name, given, other);
        const auto step = [](Model* one, Optimizer* with, bool bad) {
          one->SetGradients(Random(7, 2), 1);
          if (bad) {
            for (const NamedParameter& p : one->all) p.tensor.mutable_grad().fill_(std::nan(""));
          }
          with->Step();
        };
        step(&model, optimizer.get(), false);
        step(&untold, plain.get(), false);
        step(&model, optimizer.get(), true);
        EXPECT_EQ(selection->bad().item<double>(), 1);
        EXPECT_TRUE(at::equal(selection->count(), other->count())) << rule;
        EXPECT_TRUE(at::equal(selection->score_sum(), other->score_sum())) << rule;
        EXPECT_TRUE(at::equal(selection->delta_sum(), other->delta_sum())) << rule;
        EXPECT_TRUE(at::equal(selection->histogram(), other->histogram())) << rule;
        for (size_t i = 0; i < model.all.size(); ++i)
          EXPECT_TRUE(at::equal(model.all[i].tensor, untold.all[i].tensor)) << name << " " << rule;
        const std::vector<NamedParameter> state = optimizer->StateTensors(), expected = plain->StateTensors();
        ASSERT_EQ(state.size(), expected.size());
        for (size_t i = 0; i < state.size(); ++i) {
          if (state[i].name == "select/bad" || state[i].name == "select/steps") continue;
          EXPECT_TRUE(at::equal(state[i].tensor, expected[i].tensor)) << name << " " << rule << " " << state[i].name;
        }
        step(&model, optimizer.get(), false);
        for (const NamedParameter& p : model.all) EXPECT_TRUE(p.tensor.isfinite().all().item<bool>());
        EXPECT_EQ(selection->bad().item<double>(), 1);
      }
    }
  }
}

TEST(Selection, OneSharedGradientThatIsNotFiniteHoldsTheWholeUpdate) {
  for (const c10::ScalarType dtype : {c10::kFloat, c10::kDouble}) {
    Model model({2, 2}, dtype);
    const auto selection = Select(model, Rule("path"));
    const auto optimizer = Trained(model, "AdamW", {}, selection);
    model.SetGradients(Random(7, 2), 1);
    model.shared.tensor.mutable_grad()[1][2] = std::numeric_limits<double>::infinity();
    std::vector<at::Tensor> before;
    for (const NamedParameter& p : model.all) before.push_back(p.tensor.detach().clone());
    optimizer->Step();
    EXPECT_EQ(selection->bad().item<double>(), 1);
    EXPECT_EQ(selection->count().sum().item<double>(), 0);
    for (size_t i = 0; i < model.all.size(); ++i) EXPECT_TRUE(at::equal(model.all[i].tensor, before[i])) << i;
  }
}

TEST(Selection, AnUpdateOfSeveralTextsCountsForEachByItsShare) {
  Model model({2});
  SelectionOptions options = Rule("path");
  options.domains = 3;
  const auto selection = Select(model, options);
  model.SetGradients({1, 2, 3}, 1);
  selection->Prepare(model.all, {0, 1, 1, 0});
  selection->Prepare(model.all, {2});
  const std::vector<double> shares = {0.5, 0.5, 1};
  for (int64_t domain = 0; domain < 3; ++domain)
    EXPECT_DOUBLE_EQ(selection->histogram()[domain][1].item<double>(), shares[static_cast<size_t>(domain)]);
}

TEST(Selection, OptionsThatMakeNoSenseAreNamed) {
  const Model model({3, 3});
  const auto message = [&](SelectionOptions options) {
    const auto made = Selection::Make(model.tree, model.owned, std::move(options));
    return made.ok() ? "" : std::string(made.status().message());
  };
  EXPECT_NE(message(Rule("pth")).find("select.rule 'pth' is not known; use one of all, "), std::string::npos);
  EXPECT_NE(message(Rule("pth")).find("did you mean 'path'"), std::string::npos);
  SelectionOptions options = Rule("topk");
  options.k = 14;
  EXPECT_EQ(message(options), "select.k 14 is outside of 1 to 13, the number of nodes");
  options = Rule("weight_topk");
  options.percent = 0.1;
  EXPECT_EQ(message(options), "select.percent 0.1 of 260 weights is less than one");
  options = Rule("path");
  options.scales = {1, 1.5};
  EXPECT_EQ(message(options), "select.scales: 1.5 is outside of 0 to 1");
  options = Rule("path");
  options.shared = -1;
  EXPECT_EQ(message(options), "select.shared -1 is outside of 0 to 1");
  const auto selection = Select(model, Rule("path"));
  EXPECT_THROW(selection->Prepare(model.all, {1}), c10::Error);
  Model partial({3});
  partial.owned.pop_back();
  partial.owned.pop_back();
  EXPECT_EQ(Selection::Make(partial.tree, partial.owned, Rule("path")).status().message(),
            "select: only 1 of the tree's 4 nodes have parameters");
}

}  // namespace
}  // namespace lanthorn::optim
