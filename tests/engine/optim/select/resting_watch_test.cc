// What a mask holds back and an optimiser moves all the same is seen, by bits (guard G43).
#include "engine/optim/select/resting_watch.h"

#include <algorithm>

#include "tests/engine/optim/careless.h"
#include "tests/engine/optim/select/selection_model.h"

namespace lanthorn::optim {
namespace {

TEST(RestingWatchG43, NamesTheFirstSliceThatAnUpdateMovesWithoutBeingSelected) {
  Model model({3, 3});
  Careless careless;
  careless.AddGroup(model.all, {{"lr", 0.1}});
  careless.SetMask(Select(model, Rule("path")));
  std::vector<double> norms(13, 0.1);
  norms[9] = 2;  // r.3, the third of its level
  model.SetGradients(norms, 1);
  RestingWatch watch(&careless);
  careless.Step();
  EXPECT_EQ(watch.moved(), "") << "nobody looks";
  watch.Look(true);
  careless.Step();
  EXPECT_EQ(watch.moved(), "'level1.weight', slice 0");
  watch.Look(false);
  careless.Step();
  EXPECT_EQ(watch.moved(), "");
}

TEST(RestingWatchG43, SeesSingleEntriesAndSharedParameters) {
  for (const char* rule : {"weight_topk", "none"}) {
    Model model({2});
    SelectionOptions options = Rule(rule);
    options.percent = 50;
    options.shared = rule == std::string("none") ? 0 : 1;
    Careless careless;
    careless.AddGroup({rule == std::string("none") ? model.shared : model.all[0]}, {{"lr", 0.1}});
    careless.SetMask(Select(model, options));
    RestingWatch watch(&careless);
    watch.Look(true);
    model.SetGradients(Random(3, 1), 1);
    careless.Step();
    EXPECT_NE(watch.moved(), "") << rule;
  }
}

TEST(RestingWatchG43, FindsNothingInTheOptimisersThatThereAre) {
  for (const c10::ScalarType dtype : {c10::kFloat, c10::kDouble}) {
    for (const auto& [rule, spec] : SelectionRules()) {
      for (const char* name : {"AdamW", "Adam", "SGD", "RMSprop"}) {
        Model model({2, 2}, dtype);
        SelectionOptions options = Rule(rule);
        options.shared = 0;
        options.k = 2;
        const auto optimizer = Trained(model, name, {{"weight_decay", 0.1}}, Select(model, options));
        RestingWatch watch(optimizer.get());
        watch.Look(true);
        for (uint64_t step = 0; step < 5; ++step) {
          model.SetGradients(Random(7, step), step);
          if (step == 3) model.shared.tensor.mutable_grad().fill_(std::nan(""));
          optimizer->Step();
          EXPECT_EQ(watch.moved(), "") << rule << " " << name << " update " << step;
        }
      }
    }
  }
}

TEST(RestingWatchG43, AMaskOfGradientsWithLazyStateHoldsWhatIsNotSelected) {
  for (const c10::ScalarType dtype : {c10::kFloat, c10::kDouble}) {
    for (const char* name : {"AdamW", "Adam", "SGD", "RMSprop"}) {
      Model model({2, 2}, dtype);
      SelectionOptions options = Rule("path");
      options.apply = "gradient";
      options.moments = "lazy";
      const auto selection = Select(model, options);
      const auto optimizer = Trained(model, name, {{"weight_decay", 0.1}}, selection);
      RestingWatch watch(optimizer.get());
      watch.Look(true);
      std::vector<at::Tensor> before;
      for (uint64_t step = 0; step < 5; ++step) {
        before.clear();
        for (int64_t node = 0; node < 7; ++node) before.push_back(model.Node(node));
        model.SetGradients(Random(7, step), step);
        optimizer->Step();
        EXPECT_EQ(watch.moved(), "") << name << " update " << step;
        const std::vector<int64_t> path = Selected(*selection);
        for (int64_t node = 0; node < 7; ++node) {
          const bool on_path = std::find(path.begin(), path.end(), node) != path.end();
          EXPECT_EQ(at::equal(before[static_cast<size_t>(node)], model.Node(node)), !on_path) << name << " " << node;
        }
      }
    }
  }
}

TEST(RestingWatchG43, AMaskOfGradientsAlonePromisesNothing) {
  Model model({2, 2});
  SelectionOptions options = Rule("path");
  options.apply = "gradient";
  const auto optimizer = Trained(model, "AdamW", {{"weight_decay", 0.1}}, Select(model, options));
  RestingWatch watch(optimizer.get());
  watch.Look(true);
  model.SetGradients(Random(7, 1), 1);
  optimizer->Step();
  EXPECT_EQ(watch.moved(), "");
}

}  // namespace
}  // namespace lanthorn::optim
