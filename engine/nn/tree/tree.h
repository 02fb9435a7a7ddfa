// A tree of transformer blocks, all blocks of a level computed together (K-1).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/nn/tree/encoder_level.h"
#include "engine/nn/tree/node_tree.h"

namespace lanthorn::nn {

enum class TreeForward {
  kLevelMean,  // h = root(x); h = the mean over the nodes of level l of node(h), level by level
  kTree,       // y = root(x); every child takes its parent's output; the mean over the leaves
};

class Tree final : public Module {
 public:
  Tree(NodeTree nodes, const BlockShape& shape, TreeForward forward);

  // (N, T, width) to (N, T, width). Causal.
  at::Tensor Compute(const at::Tensor& input, State* state) override;
  std::string Describe() const override;
  const NodeTree& nodes() const { return nodes_; }

 private:
  NodeTree nodes_;
  TreeForward forward_;
  std::vector<std::shared_ptr<EncoderLevel>> levels_;
};

// Slice i of dimension 0 of a parameter belongs to nodes[i].
struct NodeParameter {
  NamedParameter parameter;
  std::vector<int64_t> nodes;
};
// The tree within a model and the parameters of its nodes. ConfigError when there is none, or more than one.
struct FoundTree {
  NodeTree nodes;
  std::vector<NodeParameter> parameters;
};
absl::StatusOr<FoundTree> FindTree(const Module& model);

}  // namespace lanthorn::nn
