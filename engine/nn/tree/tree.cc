#include "engine/nn/tree/tree.h"

#include <ATen/Functions.h>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "engine/nn/layer.h"

namespace lanthorn::nn {

Tree::Tree(NodeTree nodes, const BlockShape& shape, TreeForward forward)
    : Module("Tree"), nodes_(std::move(nodes)), forward_(forward) {
  for (int64_t level = 0; level < nodes_.levels(); ++level) {
    levels_.push_back(std::make_shared<EncoderLevel>(nodes_.size(level), shape));
    AddChild(absl::StrCat("level", level), levels_.back());
  }
}

at::Tensor Tree::Compute(const at::Tensor& input, State* state) {
  TORCH_CHECK(input.dim() == 3, "[Tree] input must be (N, T, C), got ", input.sizes());
  at::Tensor h = input;
  if (forward_ == TreeForward::kLevelMean) {
    for (const auto& level : levels_) h = level->Forward(h, state);
    return h;
  }
  h = levels_[0]->Blocks(input);
  for (size_t level = 1; level < levels_.size(); ++level) {
    const int64_t children = nodes_.branching()[level - 1];
    h = levels_[level]->Blocks(children == 1 ? h : h.repeat_interleave(children, 0));
  }
  return h.mean(0);
}

std::string Tree::Describe() const {
  return absl::StrFormat("Tree({%s}, %s)", absl::StrJoin(nodes_.branching(), ", "),
                         forward_ == TreeForward::kTree ? "tree" : "level_mean");
}

namespace {

void Find(const Module& module, const std::string& prefix, std::vector<std::pair<std::string, const Tree*>>* found) {
  if (const auto* tree = dynamic_cast<const Tree*>(&module)) found->push_back({prefix, tree});
  for (const auto& [name, child] : module.children()) Find(*child, prefix + name + ".", found);
}

const RegisterLayer tree(
    {"Tree(int[] branching, int d_model, int nhead, int dim_feedforward, float dropout=0., str forward='level_mean')",
     "A tree of causal transformer blocks: 1 root, branching[0] children, and so on. forward='level_mean': each level "
     "gives the mean of its blocks to the next; 'tree': each block takes its parent's output, and the leaves' mean "
     "comes "
     "out. in and out (N, T, d_model). Blocks are as torch.nn.TransformerEncoderLayer with norm_first=False and GELU; "
     "matrices Xavier uniform, attention biases 0.",
     "nn.Tree{{2, 2}, 8, 2, 16}(torch.randn{2, 3, 8})",
     [](const std::vector<int64_t>& branching, int64_t d_model, int64_t nhead, int64_t dim_feedforward, double dropout,
        const std::string& forward) {
       const absl::StatusOr<NodeTree> nodes = NodeTree::Make(branching);
       TORCH_CHECK(nodes.ok(), "[Tree] ", std::string(nodes.status().message()));
       const BlockShape shape = {d_model, nhead, dim_feedforward, dropout};
       TORCH_CHECK(shape.width > 0 && shape.feedforward > 0, "[Tree] sizes must be positive, got ", shape.width,
                   " and ", shape.feedforward);
       TORCH_CHECK(shape.heads > 0 && shape.width % shape.heads == 0, "[Tree] nhead must divide d_model, got ",
                   shape.heads, " heads for ", shape.width);
       TORCH_CHECK(shape.dropout >= 0 && shape.dropout < 1, "[Tree] dropout must be in [0, 1), got ", shape.dropout);
       TORCH_CHECK(forward == "level_mean" || forward == "tree", "[Tree] forward must be 'level_mean' or 'tree', got '",
                   forward, "'");
       return std::make_shared<Tree>(*nodes, shape, forward == "tree" ? TreeForward::kTree : TreeForward::kLevelMean);
     }});

}  // namespace

absl::StatusOr<FoundTree> FindTree(const Module& model) {
  std::vector<std::pair<std::string, const Tree*>> found;
  Find(model, "", &found);
  if (found.size() != 1) {
    return ConfigError(absl::StrFormat("select: the model has %d trees of nodes (nn.Tree), expected 1", found.size()));
  }
  FoundTree result = {found[0].second->nodes(), {}};
  for (const NamedParameter& parameter : model.Parameters()) {
    const std::string level_prefix = found[0].first + "level";
    if (parameter.name.compare(0, level_prefix.size(), level_prefix) != 0) continue;
    const int64_t level = std::stoll(parameter.name.substr(level_prefix.size()));
    result.parameters.push_back({parameter, result.nodes.of_level(level)});
  }
  return result;
}

}  // namespace lanthorn::nn
