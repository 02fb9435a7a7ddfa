// Selective training of a tree of nodes: before each update a rule looks at the norm of every node's gradient and gives
// each node a share in [0, 1] of its update (K-1). The backward is that of all nodes: selection saves no work there.
//
// Everything is computed on the parameters' device by tensor operators; nothing is read back in a step. Random draws
// are functions of (seed, update), made on the host.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/nn/tree/tree.h"
#include "engine/optim/select/selection_options.h"
#include "engine/optim/select/update_mask.h"

namespace lanthorn::optim {

using OwnedParameter = nn::NodeParameter;

// What a rule looks at. All tensors are on one device, by node index unless said.
struct SelectionView {
  const nn::NodeTree& tree;
  const SelectionOptions& options;
  const std::vector<at::Tensor>& levels;  // int64 indices of each level's nodes
  at::Tensor score;                       // float64: gradient norms after options.norm
  at::Tensor tensor_norms;                // float64: sum of the norms of each node's tensors
  at::Tensor count, last;                 // float64: updates of a node so far; the last update that moved it
  int64_t step;                           // updates before this one
};
struct SelectionShares {
  at::Tensor factors;  // the share of every node, float64
  at::Tensor leaf;     // int64 (1), among the leaves: the one that is blamed; undefined: of those with a share above 0
                       // that with the largest norm
  SelectionShares(at::Tensor of_nodes, at::Tensor blamed = {})
      : factors(std::move(of_nodes)), leaf(std::move(blamed)) {}
};
using SelectionRule = std::function<SelectionShares(const SelectionView&)>;

struct SelectionRuleSpec {
  std::string name, doc;
  bool reads_norms;  // without any gradient it selects nothing
  SelectionRule rule;
};
// By name.
const std::map<std::string, SelectionRuleSpec>& SelectionRules();

class Selection final : public UpdateMask {
 public:
  // ConfigError for options that make no sense together with this tree.
  static absl::StatusOr<std::shared_ptr<Selection>> Make(nn::NodeTree tree, std::vector<OwnedParameter> owned,
                                                         SelectionOptions options);

  // The rows `domains` of the histogram count, each for its share of the update's batches; c10::Error for a row
  // outside of it.
  void Prepare(const std::vector<NamedParameter>& parameters, const std::vector<int64_t>& domains = {}) override;
  void Finish() override;
  PartMask Of(const NamedParameter& parameter) const override;
  bool MayRest(const NamedParameter& parameter) const override;
  std::vector<NamedParameter> State() const override;

  bool IsHeld() const override { return held_; }

  const nn::NodeTree& tree() const { return tree_; }
  const SelectionOptions& options() const { return options_; }
  const at::Tensor& factors() const { return factors_; }      // of the last update, by node
  const at::Tensor& score() const { return score_; }          // of the last update, by node
  const at::Tensor& count() const { return count_; }          // updates with a share above 0
  const at::Tensor& effective() const { return effective_; }  // sum of the shares
  const at::Tensor& last() const { return last_; }            // last such update, from 1; below 0: none
  const at::Tensor& score_sum() const { return score_sum_; }  // over all updates
  const at::Tensor& delta_sum() const { return delta_sum_; }  // sum over all updates of the norm of what each changed
  const at::Tensor& histogram() const { return histogram_; }  // (domains, leaves)
  const at::Tensor& no_signal() const { return no_signal_; }  // updates without any gradient
  const at::Tensor& bad() const { return bad_; }              // updates whose gradients were not all finite
  int64_t steps() const;
  // Norm of what has changed since this object was made, and of the weights, by node.
  at::Tensor Distance() const;
  at::Tensor WeightNorm() const;
  // Of a selected node's weights the part that moves: all but for weight_topk.
  double entry_share() const { return options_.rule == "weight_topk" ? options_.percent / 100 : 1; }
  int64_t ParametersOf(int64_t node) const;  // elements

 private:
  void SetDomains(const std::vector<int64_t>& domains);
  Selection(nn::NodeTree tree, std::vector<OwnedParameter> owned, SelectionOptions options);
  // Squared norms of each owned tensor's slices, added to `total`, and their roots to `norms`.
  // In the host's memory those of the nodes in `which` alone.
  void AddSquares(const std::vector<at::Tensor>& tensors, at::Tensor* total, at::Tensor* norms,
                  const std::vector<bool>* which = nullptr) const;
  // || g ||^2 of gradients that belong to no node, together.
  at::Tensor SharedSquares(const std::vector<at::Tensor>& gradients) const;
  at::Tensor Zeros(std::vector<int64_t> shape) const;
  void SelectEntries();
  // The slices of `whole`, as large as owned parameter i, that this update may move.
  std::vector<at::Tensor> Moving(const at::Tensor& whole, size_t i) const;
  // Values of what this update may move, as they are before it.
  void KeepBefore(const std::vector<at::Tensor>& gradients);

  nn::NodeTree tree_;
  std::vector<OwnedParameter> owned_;
  SelectionOptions options_;
  const SelectionRuleSpec* rule_;
  std::vector<at::Tensor> levels_, owners_, initial_;
  bool on_host_ = true;                  // float32 in the host's memory: sums take one pass
  std::vector<at::Tensor> before_;       // as owned_: values before the update, then what it changed
  std::vector<bool> updated_;            // which of them this update changes
  std::vector<bool> moves_;              // nodes that it may move
  std::map<const void*, size_t> place_;  // in owned_, by TensorImpl
  at::Tensor factors_, score_, count_, effective_, last_, score_sum_, delta_sum_, histogram_, no_signal_, bad_, steps_,
      least_;
  std::map<int64_t, double> domains_ = {{0, 1}};  // shares of an update's batches
  at::Tensor ok_;                                 // float64 scalar: 1, or 0 where some gradient is not finite
  bool held_ = false;                             // ok_ is 0, as far as that is known without a read
};

}  // namespace lanthorn::optim
