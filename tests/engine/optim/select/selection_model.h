// A small tree with gradients of wanted norms, for tests of selective training.
#pragma once

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>

#include "engine/optim/select/selection.h"
#include "tests/engine/optim/make_optimizer.h"

namespace lanthorn::optim {

// A tree whose nodes have a matrix and a vector each, stacked by level, beside a shared parameter.
struct Model {
  nn::NodeTree tree;
  std::vector<OwnedParameter> owned;
  NamedParameter shared;
  std::vector<NamedParameter> all;

  explicit Model(std::vector<int64_t> branching, c10::ScalarType dtype = c10::kFloat)
      : tree(*nn::NodeTree::Make(std::move(branching))) {
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

inline std::vector<double> Random(int64_t count, uint64_t seed) {
  at::manual_seed(seed);
  const at::Tensor values = at::rand({count}, c10::kDouble) + 0.1;
  return {values.data_ptr<double>(), values.data_ptr<double>() + count};
}

inline std::shared_ptr<Selection> Select(const Model& model, const SelectionOptions& options) {
  auto made = Selection::Make(model.tree, model.owned, options);
  EXPECT_TRUE(made.ok()) << made.status();
  return *made;
}

inline SelectionOptions Rule(const std::string& name) {
  SelectionOptions options;
  options.rule = name;
  return options;
}

inline std::unique_ptr<Optimizer> Trained(const Model& model, const std::string& name, const Options& given,
                                          std::shared_ptr<Selection> selection) {
  auto optimizer = MakeOptimizer(name);
  optimizer->AddGroup(model.all, OptionsOf(name, given));
  optimizer->SetMask(std::move(selection));
  return optimizer;
}

inline std::vector<int64_t> Selected(const Selection& selection) {
  std::vector<int64_t> nodes;
  for (int64_t i = 0; i < selection.factors().numel(); ++i) {
    if (selection.factors()[i].item<double>() > 0) nodes.push_back(i);
  }
  return nodes;
}

// After one update of `model` by gradients of these norms.
inline std::vector<int64_t> SelectedBy(const std::string& rule, Model* model, const std::vector<double>& norms) {
  const auto selection = Select(*model, Rule(rule));
  model->SetGradients(norms, 1);
  selection->Prepare(model->all);
  return Selected(*selection);
}

}  // namespace lanthorn::optim
