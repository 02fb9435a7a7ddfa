#include "engine/nn/tree/node_tree.h"

#include <gtest/gtest.h>

namespace lanthorn::nn {
namespace {

NodeTree Tree(std::vector<int64_t> branching) { return *NodeTree::Make(std::move(branching)); }

TEST(NodeTree, NumbersItsNodesInPreorder) {
  const NodeTree three = Tree({3, 3}), four = Tree({4, 3, 2});
  EXPECT_EQ(three.nodes(), 13);
  EXPECT_EQ(three.leaves(), 9);
  EXPECT_EQ(three.of_level(1), (std::vector<int64_t>{1, 5, 9}));
  EXPECT_EQ(four.nodes(), 41);
  EXPECT_EQ(four.leaves(), 24);
  EXPECT_EQ(four.of_level(1), (std::vector<int64_t>{1, 11, 21, 31}));
  for (int64_t node = 1; node < four.nodes(); ++node) {
    EXPECT_EQ(four.level(four.parent(node)), four.level(node) - 1);
    EXPECT_LE(four.subtree_end(node), four.subtree_end(four.parent(node)));
  }
}

TEST(NodeTree, ChildrenOfNodeJStandTogetherInTheNextLevel) {
  const NodeTree tree = Tree({4, 3, 2});
  for (int64_t level = 0; level + 1 < tree.levels(); ++level) {
    const int64_t b = tree.branching()[static_cast<size_t>(level)];
    for (int64_t j = 0; j < tree.size(level + 1); ++j) {
      EXPECT_EQ(tree.parent(tree.of_level(level + 1)[static_cast<size_t>(j)]),
                tree.of_level(level)[static_cast<size_t>(j / b)]);
    }
  }
}

TEST(NodeTree, NumbersAreThoseThatWerePublished) {
  const NodeTree tree = Tree({4, 3, 2});
  EXPECT_EQ(tree.Number(0), 0);
  EXPECT_EQ(tree.Number(31), 4);
  EXPECT_EQ(tree.Label(40), "r.4.3.2");
  EXPECT_EQ(tree.Number(40), 432);
  EXPECT_FALSE(Tree({2, 10}).Number(1));
  EXPECT_FALSE(Tree(std::vector<int64_t>(18, 1)).Number(1));
}

TEST(NodeTree, LabelsTellTheWayFromTheRoot) {
  const NodeTree tree = Tree({3, 3});
  EXPECT_EQ(tree.Label(0), "r");
  EXPECT_EQ(tree.Label(1), "r.1");
  EXPECT_EQ(tree.Label(6), "r.2.1");
  EXPECT_EQ(tree.Label(12), "r.3.3");
}

TEST(NodeTree, WithoutBranchingTheRootIsTheLeaf) {
  const NodeTree tree = Tree({});
  EXPECT_EQ(tree.nodes(), 1);
  EXPECT_EQ(tree.leaves(), 1);
  EXPECT_EQ(tree.Label(0), "r");
}

TEST(NodeTree, RefusesALevelWithoutChildrenAndTooManyNodes) {
  const auto none = NodeTree::Make({3, 0});
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.status().message(), "branching {3, 0}: level 2 has 0 children a node, expected at least 1");
  EXPECT_FALSE(NodeTree::Make({-1}).ok());
  EXPECT_FALSE(NodeTree::Make({1000, 1000}).ok());
  EXPECT_FALSE(NodeTree::Make({int64_t{1} << 62, 4}).ok());
}

}  // namespace
}  // namespace lanthorn::nn
