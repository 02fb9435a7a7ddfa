// The tree of transformer blocks against one block after the other, written out with plain operators in float64.
#include "engine/nn/tree/tree.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "tests/engine/nn/make_layers.h"

namespace lanthorn::nn {
namespace {

constexpr int64_t kWidth = 8, kHeads = 2, kFeedforward = 12;

using Weights = std::map<std::string, at::Tensor>;

// One block, head by head and row by row of the attention: no mask, each query sees the keys up to its own place.
at::Tensor Block(const at::Tensor& x, const Weights& w) {
  const int64_t samples = x.size(0), steps = x.size(1), width = x.size(2), head = width / kHeads;
  const at::Tensor qkv = at::matmul(x, w.at("self_attn.in_proj_weight").t()) + w.at("self_attn.in_proj_bias");
  std::vector<at::Tensor> outputs;
  for (int64_t n = 0; n < samples; ++n) {
    std::vector<at::Tensor> heads;
    for (int64_t h = 0; h < kHeads; ++h) {
      const auto part = [&](int64_t which) { return qkv[n].narrow(1, which * width + h * head, head); };
      std::vector<at::Tensor> rows;
      for (int64_t t = 0; t < steps; ++t) {
        const at::Tensor scores =
            at::matmul(part(1).narrow(0, 0, t + 1), part(0)[t]) / std::sqrt(static_cast<double>(head));
        rows.push_back(at::matmul(at::softmax(scores, 0), part(2).narrow(0, 0, t + 1)));
      }
      heads.push_back(at::stack(rows));
    }
    outputs.push_back(at::cat(heads, 1));
  }
  const auto norm = [&](const at::Tensor& v, const std::string& name) {
    const at::Tensor mean = v.mean(-1, true), variance = (v - mean).square().mean(-1, true);
    return (v - mean) / (variance + 1e-5).sqrt() * w.at(name + ".weight") + w.at(name + ".bias");
  };
  const at::Tensor attended =
      at::matmul(at::stack(outputs), w.at("self_attn.out_proj.weight").t()) + w.at("self_attn.out_proj.bias");
  const at::Tensor a = norm(x + attended, "norm1");
  const at::Tensor hidden = at::matmul(a, w.at("linear1.weight").t()) + w.at("linear1.bias");
  const at::Tensor active = hidden * 0.5 * (1 + at::erf(hidden / std::sqrt(2.0)));
  return norm(a + at::matmul(active, w.at("linear2.weight").t()) + w.at("linear2.bias"), "norm2");
}

// The tree by recursion or level by level, from the stacked weights of `model`.
at::Tensor Reference(const Module& model, const NodeTree& tree, bool as_tree, const at::Tensor& x) {
  std::vector<Weights> nodes(static_cast<size_t>(tree.nodes()));
  for (const NamedParameter& parameter : model.Parameters()) {
    const size_t dot = parameter.name.find('.');
    const int64_t level = std::stoll(parameter.name.substr(5, dot - 5));
    for (int64_t j = 0; j < tree.size(level); ++j) {
      nodes[static_cast<size_t>(tree.of_level(level)[static_cast<size_t>(j)])][parameter.name.substr(dot + 1)] =
          parameter.tensor[j];
    }
  }
  if (!as_tree) {
    at::Tensor h = x;
    for (int64_t level = 0; level < tree.levels(); ++level) {
      at::Tensor sum = at::zeros_like(h);
      for (int64_t node : tree.of_level(level)) sum = sum + Block(h, nodes[static_cast<size_t>(node)]);
      h = sum / static_cast<double>(tree.size(level));
    }
    return h;
  }
  std::map<int64_t, at::Tensor> outputs = {{-1, x}};
  at::Tensor sum = at::zeros_like(x);
  for (int64_t node = 0; node < tree.nodes(); ++node) {
    outputs[node] = Block(outputs.at(tree.parent(node)), nodes[static_cast<size_t>(node)]);
    if (tree.level(node) + 1 == tree.levels()) sum = sum + outputs[node];
  }
  return sum / static_cast<double>(tree.leaves());
}

struct Case {
  std::vector<int64_t> branching;
  const char* forward;
  int64_t samples, steps;
};

std::vector<Case> Cases() {
  return {{{}, "level_mean", 1, 1},  {{3, 3}, "level_mean", 3, 7},    {{3, 3}, "tree", 3, 7},
          {{4, 3, 2}, "tree", 2, 5}, {{4, 3, 2}, "level_mean", 2, 5}, {{1, 1}, "tree", 2, 65},
          {{2, 1, 3}, "tree", 1, 4}};
}

TEST(Tree, AllNodesOfALevelAtOnceAreTheNodesOneByOne) {
  for (const Case& c : Cases()) {
    at::manual_seed(5);
    const ModulePtr model = lanthorn::Tree(c.branching, kWidth, kHeads, kFeedforward, 0, c.forward);
    // Biases and norms away from where they start.
    for (const NamedParameter& p : model->Parameters()) {
      const at::NoGradGuard no_grad;
      at::Tensor(p.tensor).add_(at::randn(p.tensor.sizes()) * 0.1);
    }
    const at::Tensor x = at::randn({c.samples, c.steps, kWidth}), direction = at::randn(x.sizes());
    const at::Tensor in = x.clone().set_requires_grad(true);
    const at::Tensor y = model->Forward(in, nullptr);
    (y * direction).sum().backward();
    std::vector<at::Tensor> gradients;
    for (const NamedParameter& p : model->Parameters()) gradients.push_back(p.tensor.grad().clone());
    model->To(c10::kCPU, c10::kDouble);
    model->ZeroGrad();
    const at::Tensor wide = x.to(c10::kDouble).set_requires_grad(true);
    const at::Tensor expected = Reference(*model, *NodeTree::Make(c.branching), std::string(c.forward) == "tree", wide);
    EXPECT_TRUE(at::allclose(y.to(c10::kDouble), expected, 1e-5, 1e-5)) << model->Describe();
    (expected * direction).sum().backward();
    EXPECT_TRUE(at::allclose(in.grad().to(c10::kDouble), wide.grad(), 1e-4, 1e-5)) << model->Describe();
    for (size_t i = 0; i < gradients.size(); ++i) {
      const NamedParameter p = model->Parameters()[i];
      const double scale = p.tensor.grad().abs().max().item<double>() + 1e-6;
      EXPECT_LT((gradients[i].to(c10::kDouble) - p.tensor.grad()).abs().max().item<double>() / scale, 1e-4) << p.name;
    }
  }
}

TEST(Tree, GradientsAreSlopes) {
  at::manual_seed(7);
  const ModulePtr model = lanthorn::Tree({2, 2}, 4, 2, 6, 0, "tree");
  model->To(c10::kCPU, c10::kDouble);
  const at::Tensor x = at::randn({2, 3, 4}, c10::kDouble), direction = at::randn({2, 3, 4}, c10::kDouble);
  const auto loss = [&] { return (model->Forward(x, nullptr) * direction).sum(); };
  loss().backward();
  const at::NoGradGuard no_grad;
  for (const NamedParameter& p : model->Parameters()) {
    at::Tensor flat = p.tensor.view({-1});
    const at::Tensor gradient = p.tensor.grad().view({-1});
    for (int64_t i = 0; i < flat.numel(); i += 1 + flat.numel() / 5) {
      const double value = flat[i].item<double>(), h = 1e-5;
      flat[i] = value + h;
      const double above = loss().item<double>();
      flat[i] = value - h;
      const double below = loss().item<double>();
      flat[i] = value;
      EXPECT_NEAR(gradient[i].item<double>(), (above - below) / (2 * h), 1e-6) << p.name << " " << i;
    }
  }
}

TEST(Tree, NoTokenSeesALaterOne) {
  for (const char* forward : {"level_mean", "tree"}) {
    at::manual_seed(2);
    const ModulePtr model = lanthorn::Tree({3, 3}, kWidth, kHeads, kFeedforward, 0, forward);
    const at::Tensor x = at::randn({2, 9, kWidth});
    at::Tensor later = x.clone();
    later.narrow(1, 5, 4).normal_();
    const at::Tensor a = model->Forward(x, nullptr), b = model->Forward(later, nullptr);
    EXPECT_TRUE(at::equal(a.narrow(1, 0, 5), b.narrow(1, 0, 5)));
    EXPECT_FALSE(at::allclose(a.narrow(1, 5, 4), b.narrow(1, 5, 4)));
  }
}

TEST(Tree, TheModesAgreeOnChainsAndDifferOnTrees) {
  const auto both = [](const std::vector<int64_t>& branching) {
    std::vector<at::Tensor> outputs;
    for (const char* forward : {"level_mean", "tree"}) {
      at::manual_seed(4);
      const ModulePtr model = lanthorn::Tree(branching, kWidth, kHeads, kFeedforward, 0, forward);
      at::manual_seed(9);
      outputs.push_back(model->Forward(at::randn({2, 5, kWidth}), nullptr));
    }
    return at::allclose(outputs[0], outputs[1], 1e-5, 1e-6);
  };
  EXPECT_TRUE(both({}));
  EXPECT_TRUE(both({3}));
  EXPECT_TRUE(both({1, 1, 1}));
  EXPECT_FALSE(both({3, 3}));
}

TEST(Tree, EqualNodesOfALevelGiveWhatOneOfThemGives) {
  for (const char* forward : {"level_mean", "tree"}) {
    at::manual_seed(6);
    const ModulePtr wide = lanthorn::Tree({3, 2}, kWidth, kHeads, kFeedforward, 0, forward);
    const ModulePtr chain = lanthorn::Tree({1, 1}, kWidth, kHeads, kFeedforward, 0, forward);
    const at::NoGradGuard no_grad;
    for (size_t i = 0; i < wide->Parameters().size(); ++i) {
      const at::Tensor one = chain->Parameters()[i].tensor;
      at::Tensor(wide->Parameters()[i].tensor).copy_(one.expand_as(wide->Parameters()[i].tensor));
    }
    const at::Tensor x = at::randn({2, 5, kWidth});
    EXPECT_TRUE(at::allclose(wide->Forward(x, nullptr), chain->Forward(x, nullptr), 1e-5, 1e-6)) << forward;
  }
}

TEST(Tree, HasTheParametersOfThePublishedProfiles) {
  EXPECT_EQ(lanthorn::Tree({}, 128, 4, 256)->ParameterCount(), 132480);
  EXPECT_EQ(lanthorn::Tree({3, 3}, 128, 4, 256)->ParameterCount(), 13 * 132480);
  EXPECT_EQ(lanthorn::Tree({4, 3, 2}, 128, 4, 256)->ParameterCount(), 41 * 132480);
  EXPECT_EQ(lanthorn::Tree({}, 64, 4, 128)->ParameterCount(), 33472);
}

TEST(Tree, DropoutIsActiveInTrainingOnly) {
  at::manual_seed(1);
  const ModulePtr model = lanthorn::Tree({2}, kWidth, kHeads, kFeedforward, 0.5);
  const at::Tensor x = at::randn({2, 3, kWidth});
  EXPECT_FALSE(at::equal(model->Forward(x, nullptr), model->Forward(x, nullptr)));
  model->Train(false);
  EXPECT_TRUE(at::equal(model->Forward(x, nullptr), model->Forward(x, nullptr)));
}

TEST(Tree, TellsWhoseSliceIsWhose) {
  auto model = std::make_shared<Sequential>();
  model->AddChild("embed", Embedding(5, kWidth));
  model->AddChild("tree", lanthorn::Tree({3, 3}, kWidth, kHeads, kFeedforward));
  model->AddChild("head", Linear(kWidth, 5));
  const auto found = FindTree(*model);
  ASSERT_TRUE(found.ok()) << found.status();
  int64_t elements = 0;
  for (const NodeParameter& one : found->parameters) {
    EXPECT_EQ(one.parameter.tensor.size(0), static_cast<int64_t>(one.nodes.size())) << one.parameter.name;
    elements += one.parameter.tensor.numel();
  }
  EXPECT_EQ(elements, model->Child("tree")->ParameterCount());
  EXPECT_EQ(FindTree(*Embedding(5, 4)).status().message(),
            "select: the model has 0 trees of nodes (nn.Tree), expected 1");
}

TEST(Tree, RefusesShapesThatDoNotFit) {
  const auto message = [](auto make) {
    try {
      make();
    } catch (const c10::Error& error) {
      return std::string(error.what_without_backtrace());
    }
    return std::string("no error");
  };
  EXPECT_EQ(message([] { return lanthorn::Tree({3}, 10, 3, 4); }),
            "[Tree] nhead must divide d_model, got 3 heads for 10");
  EXPECT_NE(message([] {
              return lanthorn::Tree({3, 0}, 8, 2, 4);
            }).find("branching {3, 0}: level 2 has 0 children"),
            std::string::npos);
  EXPECT_NE(message([] { return lanthorn::Tree({3}, 8, 2, 4, 0, "mean"); }).find("'level_mean' or 'tree', got 'mean'"),
            std::string::npos);
}

}  // namespace
}  // namespace lanthorn::nn
