// The rules of selective training. Each is written in tensor operators without a read of their values, so that it runs
// on any device as it is.
#include <ATen/Functions.h>

#include <cmath>
#include <limits>

#include "engine/optim/select/selection.h"

namespace lanthorn::optim {
namespace {

// Uniform draws in (0, 1), a function of seed, update and place alone: a resumed training draws what it would have.
double Uniform(const SelectionView& view, int64_t place) {
  uint64_t x = view.options.seed * 0x9E3779B97F4A7C15ull + static_cast<uint64_t>(view.step) * 0xD1B54A32D192ED03ull +
               static_cast<uint64_t>(place) * 0x8CB92BA72F3D8DD7ull + 0x2545F4914F6CDD1Dull;
  for (int round = 0; round < 2; ++round) {  // the mixer of SplitMix64 (Steele, Lea and Flood 2014)
    x += 0x9E3779B97F4A7C15ull;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
    x ^= x >> 31;
  }
  return (static_cast<double>(x >> 11) + 0.5) * 0x1.0p-53;
}

double Scale(const SelectionView& view, int64_t level) {
  const auto from_leaf = static_cast<size_t>(view.tree.levels() - 1 - level);
  const std::vector<double>& scales = view.options.scales;
  return scales[std::min(from_leaf, scales.size() - 1)];
}

int64_t Children(const SelectionView& view, int64_t level) { return view.tree.branching()[static_cast<size_t>(level)]; }

// Walks from the root to a leaf. `choose(level, nodes)` gives the place of the child among `nodes`, the indices of the
// children, as a 0-dim int64 tensor.
template <typename Choose>
SelectionShares Path(const SelectionView& view, const Choose& choose) {
  at::Tensor factors = at::zeros_like(view.score);
  at::Tensor place = at::zeros({1}, view.levels[0].options());  // within the level
  for (int64_t level = 0;; ++level) {
    const at::Tensor& nodes = view.levels[static_cast<size_t>(level)];
    factors.index_fill_(0, nodes.index_select(0, place), Scale(view, level));
    if (level + 1 == view.tree.levels()) return {factors, place};
    const int64_t b = Children(view, level);
    const at::Tensor first = place * b;
    const at::Tensor children =
        view.levels[static_cast<size_t>(level + 1)].reshape({-1, b}).index_select(0, place).reshape({b});
    place = first + choose(level, children).reshape({1});
  }
}

SelectionShares Largest(const SelectionView& view) {
  return Path(view, [&](int64_t, const at::Tensor& nodes) { return view.score.index_select(0, nodes).argmax(); });
}

SelectionShares Lowest(const SelectionView& view) {
  return Path(view, [&](int64_t, const at::Tensor& nodes) { return view.score.index_select(0, nodes).argmin(); });
}

at::Tensor RandomChild(const SelectionView& view, int64_t level, const at::Tensor& nodes) {
  const auto child = static_cast<int64_t>(Uniform(view, level) * static_cast<double>(nodes.numel()));
  return at::full({}, child, nodes.options());
}

SelectionShares RandomPath(const SelectionView& view) {
  return Path(view, [&](int64_t level, const at::Tensor& nodes) { return RandomChild(view, level, nodes); });
}

SelectionShares RoundRobin(const SelectionView& view) {
  int64_t leaf = view.step % view.tree.leaves(), leaves = view.tree.leaves();
  return Path(view, [&](int64_t level, const at::Tensor& nodes) {
    leaves /= Children(view, level);  // below each child
    const at::Tensor child = at::full({}, leaf / leaves, nodes.options());
    leaf %= leaves;
    return child;
  });
}

// As the path of the largest, but past children that were moved less than `cooldown` updates ago.
SelectionShares Cooldown(const SelectionView& view) {
  constexpr int64_t kExplore = 1 << 20;
  return Path(view, [&](int64_t level, const at::Tensor& nodes) {
    if (Uniform(view, kExplore + level) < view.options.explore) return RandomChild(view, level, nodes);
    const at::Tensor last = view.last.index_select(0, nodes), score = view.score.index_select(0, nodes);
    const at::Tensor resting = (last * -1 + static_cast<double>(view.step + 1)).lt(view.options.cooldown);
    const at::Tensor awake = at::where(resting, at::full_like(score, -1), score);
    return at::where(resting.all(), last.argmin(), awake.argmax());
  });
}

// Upper confidence bound (Auer, Cesa-Bianchi and Fischer 2002), drawn from the softmax of the bounds by Gumbel noise.
SelectionShares Ucb(const SelectionView& view) {
  const SelectionOptions& o = view.options;
  const double done = std::min(1.0, static_cast<double>(view.step) / static_cast<double>(o.tau_steps));
  const double tau = o.tau + (o.tau_end - o.tau) * done, log_time = std::log(static_cast<double>(view.step + 2));
  const at::Tensor share = view.score / view.score.max().clamp_min(1e-300);
  return Path(view, [&](int64_t level, const at::Tensor& nodes) {
    const at::Tensor tries = view.count.index_select(0, nodes) + 1;
    const at::Tensor bound = share.index_select(0, nodes) / tries + (log_time / tries).sqrt() * 0.5;
    std::vector<double> noise(static_cast<size_t>(nodes.numel()));
    for (size_t i = 0; i < noise.size(); ++i) {
      const int64_t place = ((level + 1) << 24) + static_cast<int64_t>(i);
      noise[i] = -std::log(-std::log(Uniform(view, place)));
    }
    const at::Tensor drawn = at::tensor(noise, at::TensorOptions(c10::kDouble)).to(bound.device());
    return (bound / tau + drawn).argmax();
  });
}

SelectionShares TopK(const SelectionView& view) {
  const at::Tensor order =
      std::get<1>(at::sort(view.score, /*stable=*/c10::optional<bool>(true), /*dim=*/0, /*descending=*/true));
  return at::zeros_like(view.score).index_fill_(0, order.narrow(0, 0, view.options.k), 1);
}

SelectionShares All(const SelectionView& view) { return at::ones_like(view.score); }
SelectionShares None(const SelectionView& view) { return at::zeros_like(view.score); }

// What the published code does: a path of the largest subtree norms, whose nodes scale the gradients of their whole
// subtrees one after the other; nothing is left out.
SelectionShares Published(const SelectionView& view) {
  const nn::NodeTree& tree = view.tree;
  // Sums over subtrees, which are ranges in preorder.
  std::vector<int64_t> ends;
  for (int64_t node = 0; node < tree.nodes(); ++node) ends.push_back(tree.subtree_end(node));
  const at::TensorOptions indices = view.levels[0].options();
  const at::Tensor end = at::tensor(ends, at::TensorOptions(c10::kLong)).to(indices.device());
  const at::Tensor begin = at::arange(tree.nodes(), indices);
  const at::Tensor sums = at::cat({at::zeros({1}, view.score.options()), view.tensor_norms.cumsum(0)});
  const at::Tensor total = sums.index_select(0, end) - sums.index_select(0, begin);
  std::vector<at::Tensor> path = {view.levels[0].narrow(0, 0, 1)};
  const at::Tensor leaf = Path(view, [&](int64_t, const at::Tensor& nodes) {
                            const at::Tensor child = total.index_select(0, nodes).argmax();
                            path.push_back(nodes.index_select(0, child.reshape({1})));
                            return child;
                          }).leaf;
  const at::Tensor on_path = at::cat(path), norms = total.index_select(0, on_path), sum = norms.sum();
  const at::Tensor share = norms / sum.clamp_min(1e-300);
  at::Tensor scale = share.clamp_max(0.3);
  scale = at::cat({scale.narrow(0, 0, scale.size(0) - 1), (share.narrow(0, share.size(0) - 1, 1) + 0.5).clamp_max(1)});
  at::Tensor idle = at::full_like(scale, 0.1);
  idle.narrow(0, 0, 1).fill_(0.05);
  idle.narrow(0, idle.size(0) - 1, 1).fill_(1);
  scale = at::where(sum.gt(0), scale, idle);
  at::Tensor factors = at::ones_like(view.score);
  for (int64_t i = 0; i < on_path.size(0); ++i) {
    const at::Tensor node = on_path.narrow(0, i, 1);
    const at::Tensor below = begin.ge(node).logical_and(begin.lt(end.index_select(0, node)));
    factors = at::where(below, factors * scale.narrow(0, i, 1), factors);
  }
  return {factors, leaf};
}

}  // namespace

const std::map<std::string, SelectionRuleSpec>& SelectionRules() {
  static const std::map<std::string, SelectionRuleSpec> rules = [] {
    std::map<std::string, SelectionRuleSpec> made;
    const auto add = [&](const char* name, bool reads_norms, SelectionRule rule, const char* doc) {
      made[name] = {name, doc, reads_norms, std::move(rule)};
    };
    add("path", true, Largest, "from the root always the child with the largest norm; shares by `scales`");
    add("lowest", true, Lowest, "from the root always the child with the smallest norm");
    add("random_path", false, RandomPath, "a random child at each level");
    add("round_robin", false, RoundRobin, "the path to one leaf after the other");
    add("cooldown", true, Cooldown,
        "as path, but past nodes moved in the last `cooldown` updates, at times a random one");
    add("ucb", true, Ucb, "a child drawn by upper confidence bounds at temperature `tau`");
    add("topk", true, TopK, "the `k` nodes with the largest norms");
    add("weight_topk", true, All, "the largest `percent` of all gradient entries of the nodes");
    add("all", false, All, "every node: dense training");
    add("none", false, None, "no node: shared parameters alone learn");
    add("published", true, Published, "the published code: all gradients scaled along a path, nothing left out");
    return made;
  }();
  return rules;
}

}  // namespace lanthorn::optim
