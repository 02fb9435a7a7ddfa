// A uniform tree of nodes: how many nodes each level has, and one index for every node (systems: K-1).
//
// Branching {b1, .., bk} gives k + 1 levels of 1, b1, b1 b2, ... nodes; {} is a single node. The index of a node is its
// place in depth-first preorder. The children of node j of a level are nodes j b, .., j b + b - 1 of the next level.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/status.h"

namespace lanthorn::nn {

class NodeTree {
 public:
  static constexpr int64_t kMostNodes = 100000;

  // ConfigError for a branching factor below 1, or for more than kMostNodes nodes.
  static absl::StatusOr<NodeTree> Make(std::vector<int64_t> branching);

  const std::vector<int64_t>& branching() const { return branching_; }
  int64_t levels() const { return static_cast<int64_t>(sizes_.size()); }
  int64_t nodes() const { return static_cast<int64_t>(level_.size()); }
  int64_t leaves() const { return sizes_.back(); }
  // Nodes of a level; level 0 is the root.
  int64_t size(int64_t level) const { return sizes_[static_cast<size_t>(level)]; }
  // The indices of a level's nodes, in their order.
  const std::vector<int64_t>& of_level(int64_t level) const { return index_[static_cast<size_t>(level)]; }
  int64_t level(int64_t node) const { return level_[static_cast<size_t>(node)]; }
  // -1 for the root.
  int64_t parent(int64_t node) const { return parent_[static_cast<size_t>(node)]; }
  // One past the last node of the subtree that begins with `node`: in preorder a subtree is a range.
  int64_t subtree_end(int64_t node) const { return end_[static_cast<size_t>(node)]; }
  // "r", "r.2", "r.2.1": the child's number from 1, level by level.
  std::string Label(int64_t node) const;
  // The number of the published implementation: 0 for the root, 10 * parent + child from 1. Absent where a node has
  // more than 9 children, or the tree so many levels that the number would not fit.
  std::optional<int64_t> Number(int64_t node) const;

 private:
  // Which child of its parent a node is, from 1.
  int64_t Place(int64_t node) const;
  void Add(int64_t parent, int64_t level);

  std::vector<int64_t> branching_, sizes_, level_, parent_, end_;
  std::vector<std::vector<int64_t>> index_;
};

}  // namespace lanthorn::nn
