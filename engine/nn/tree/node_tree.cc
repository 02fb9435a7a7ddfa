#include "engine/nn/tree/node_tree.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace lanthorn::nn {

absl::StatusOr<NodeTree> NodeTree::Make(std::vector<int64_t> branching) {
  NodeTree tree;
  tree.sizes_ = {1};
  int64_t nodes = 1;
  for (size_t i = 0; i < branching.size(); ++i) {
    if (branching[i] < 1) {
      return ConfigError(absl::StrCat("branching {", absl::StrJoin(branching, ", "), "}: level ", i + 1, " has ",
                                      branching[i], " children a node, expected at least 1"));
    }
    if (branching[i] > kMostNodes || (nodes += tree.sizes_.back() * branching[i]) > kMostNodes) {
      return ConfigError(
          absl::StrCat("branching {", absl::StrJoin(branching, ", "), "} gives more than ", kMostNodes, " nodes"));
    }
    tree.sizes_.push_back(tree.sizes_.back() * branching[i]);
  }
  tree.branching_ = std::move(branching);
  tree.index_.resize(tree.sizes_.size());
  tree.Add(-1, 0);
  return tree;
}

void NodeTree::Add(int64_t parent, int64_t level) {
  const int64_t node = nodes();
  level_.push_back(level);
  parent_.push_back(parent);
  end_.push_back(node + 1);
  index_[static_cast<size_t>(level)].push_back(node);
  if (level + 1 < levels()) {
    for (int64_t i = 0; i < branching_[static_cast<size_t>(level)]; ++i) Add(node, level + 1);
  }
  end_[static_cast<size_t>(node)] = nodes();
}

int64_t NodeTree::Place(int64_t node) const {
  int64_t place = 1;
  for (int64_t sibling = parent(node) + 1; sibling < node; sibling = subtree_end(sibling)) ++place;
  return place;
}

std::string NodeTree::Label(int64_t node) const {
  return parent(node) < 0 ? "r" : absl::StrCat(Label(parent(node)), ".", Place(node));
}

std::optional<int64_t> NodeTree::Number(int64_t node) const {
  constexpr int64_t kMostLevels = 18;  // digits of an int64
  if (levels() > kMostLevels || std::any_of(branching_.begin(), branching_.end(), [](int64_t b) { return b > 9; }))
    return std::nullopt;
  return parent(node) < 0 ? 0 : 10 * *Number(parent(node)) + Place(node);
}

}  // namespace lanthorn::nn
