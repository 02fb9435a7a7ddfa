#include "engine/optim/select/selection.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/options/option_check.h"
#include "engine/base/square_sum.h"
#include "engine/base/text/nearest.h"

namespace lanthorn::optim {
namespace {

constexpr double kNever = -1e12;

// `elements`: weights of all nodes.
absl::Status CheckOptions(const nn::NodeTree& tree, int64_t elements, const SelectionOptions& o) {
  std::vector<std::string> rules;
  for (const auto& [name, spec] : SelectionRules()) rules.push_back(name);
  if (SelectionRules().count(o.rule) == 0)
    return ConfigError(absl::StrCat("select.rule '", o.rule, "' is not known; use one of ", absl::StrJoin(rules, ", "),
                                    DidYouMean(o.rule, rules)));
  LANTHORN_RETURN_IF_ERROR(CheckOptionRows("select", o));
  if (o.scales.empty()) return ConfigError("select.scales is empty, expected at least the leaf's share");
  for (double scale : o.scales) {
    if (!(scale >= 0 && scale <= 1))
      return ConfigError(absl::StrCat("select.scales: ", scale, " is outside of 0 to 1"));
  }
  if (!(o.shared >= 0 && o.shared <= 1))
    return ConfigError(absl::StrCat("select.shared ", o.shared, " is outside of 0 to 1"));
  if (o.k < 1 || (o.rule == "topk" && o.k > tree.nodes()))
    return ConfigError(absl::StrCat("select.k ", o.k, " is outside of 1 to ", tree.nodes(), ", the number of nodes"));
  if (!(o.percent > 0 && o.percent <= 100))
    return ConfigError(absl::StrCat("select.percent ", o.percent, " is outside of 0 to 100"));
  if (!(o.explore >= 0 && o.explore <= 1))
    return ConfigError(absl::StrCat("select.explore ", o.explore, " is outside of 0 to 1"));
  if (!(o.tau > 0 && o.tau_end > 0)) return ConfigError("select: tau and tau_end must be positive");
  if (o.rule == "weight_topk" && static_cast<double>(elements) * o.percent / 100 < 1) {
    return ConfigError(absl::StrCat("select.percent ", o.percent, " of ", elements, " weights is less than one"));
  }
  if (o.domains < 1) return ConfigError(absl::StrCat("select.domains ", o.domains, " must be at least 1"));
  if (o.rule == "weight_topk" && (o.apply != "delta" || o.moments != "global"))
    return ConfigError(
        "select: the rule weight_topk masks entries of the update: apply must be 'delta', moments 'global'");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<Selection>> Selection::Make(nn::NodeTree tree, std::vector<OwnedParameter> owned,
                                                           SelectionOptions options) {
  int64_t elements = 0;
  for (const OwnedParameter& one : owned) elements += one.parameter.tensor.numel();
  LANTHORN_RETURN_IF_ERROR(CheckOptions(tree, elements, options));
  std::set<int64_t> found;
  for (const OwnedParameter& one : owned) {
    const at::Tensor& p = one.parameter.tensor;
    if (one.nodes.size() != 1 && (p.dim() == 0 || p.size(0) != static_cast<int64_t>(one.nodes.size()))) {
      return ConfigError(absl::StrCat("select: parameter '", one.parameter.name, "' has ", p.dim() > 0 ? p.size(0) : 1,
                                      " slices for ", one.nodes.size(), " nodes"));
    }
    found.insert(one.nodes.begin(), one.nodes.end());
  }
  if (static_cast<int64_t>(found.size()) != tree.nodes() || *found.begin() != 0 ||
      *found.rbegin() != tree.nodes() - 1) {
    return ConfigError(
        absl::StrCat("select: only ", found.size(), " of the tree's ", tree.nodes(), " nodes have parameters"));
  }
  if (options.rule == "published") options.apply = "gradient";
  return std::shared_ptr<Selection>(new Selection(std::move(tree), std::move(owned), std::move(options)));
}

Selection::Selection(nn::NodeTree tree, std::vector<OwnedParameter> owned, SelectionOptions options)
    : tree_(std::move(tree)),
      owned_(std::move(owned)),
      options_(std::move(options)),
      rule_(&SelectionRules().at(options_.rule)) {
  const at::NoGradGuard no_grad;
  const at::TensorOptions indices = owned_[0].parameter.tensor.options().dtype(c10::kLong);
  const auto upload = [&](const std::vector<int64_t>& values) {
    return at::tensor(values, at::TensorOptions(c10::kLong)).to(indices.device());
  };
  for (int64_t level = 0; level < tree_.levels(); ++level) levels_.push_back(upload(tree_.of_level(level)));
  for (size_t i = 0; i < owned_.size(); ++i) {
    owners_.push_back(upload(owned_[i].nodes));
    initial_.push_back(owned_[i].parameter.tensor.detach().clone());
    before_.push_back(at::empty_like(initial_.back()));
    on_host_ = on_host_ && initial_.back().device().is_cpu() && initial_.back().scalar_type() == c10::kFloat;
    place_[owned_[i].parameter.tensor.unsafeGetTensorImpl()] = i;
  }
  factors_ = Zeros({tree_.nodes()});
  score_ = Zeros({tree_.nodes()});
  count_ = Zeros({tree_.nodes()});
  effective_ = Zeros({tree_.nodes()});
  last_ = Zeros({tree_.nodes()}).fill_(kNever);
  score_sum_ = Zeros({tree_.nodes()});
  delta_sum_ = Zeros({tree_.nodes()});
  histogram_ = Zeros({options_.domains, tree_.leaves()});
  no_signal_ = Zeros({});
  bad_ = Zeros({});
  steps_ = at::zeros({}, c10::kLong);
}

at::Tensor Selection::Zeros(std::vector<int64_t> shape) const {
  return at::zeros(shape, owned_[0].parameter.tensor.options().dtype(c10::kDouble).requires_grad(false));
}

int64_t Selection::steps() const { return *steps_.data_ptr<int64_t>(); }

void Selection::AddSquares(const std::vector<at::Tensor>& tensors, at::Tensor* total, at::Tensor* norms,
                           const std::vector<bool>* which) const {
  std::vector<at::Tensor> slices;
  std::vector<int64_t> nodes;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (!tensors[i].defined()) continue;
    const int64_t count = static_cast<int64_t>(owned_[i].nodes.size());
    if (!on_host_) {
      const at::Tensor squares = tensors[i].detach().to(c10::kDouble).square().reshape({count, -1}).sum(1);
      total->index_add_(0, owners_[i], squares);
      if (norms != nullptr) norms->index_add_(0, owners_[i], squares.sqrt());
      continue;
    }
    for (int64_t j = 0; j < count; ++j) {
      if (which != nullptr && !(*which)[static_cast<size_t>(owned_[i].nodes[static_cast<size_t>(j)])]) continue;
      slices.push_back(count == 1 ? tensors[i] : tensors[i].select(0, j));
      nodes.push_back(owned_[i].nodes[static_cast<size_t>(j)]);
    }
  }
  if (!on_host_) return;
  const std::vector<double> squares = SquareSums(slices);
  double* sums = total->data_ptr<double>();
  for (size_t i = 0; i < squares.size(); ++i) {
    sums[nodes[i]] += squares[i];
    if (norms != nullptr) norms->data_ptr<double>()[nodes[i]] += std::sqrt(squares[i]);
  }
}

at::Tensor Selection::SharedSquares(const std::vector<at::Tensor>& gradients) const {
  at::Tensor sum = Zeros({});
  if (on_host_) return sum.fill_(SquareSum(gradients));
  for (const at::Tensor& gradient : gradients) {
    if (gradient.defined()) sum += gradient.detach().to(sum.device(), c10::kDouble).square().sum();
  }
  return sum;
}

void Selection::Prepare(const std::vector<NamedParameter>& parameters, const std::vector<int64_t>& domains) {
  if (!domains.empty()) SetDomains(domains);
  const at::NoGradGuard no_grad;
  std::set<const void*> present;
  std::vector<at::Tensor> gradients, shared;
  for (const NamedParameter& parameter : parameters) {
    present.insert(parameter.tensor.unsafeGetTensorImpl());
    if (place_.count(parameter.tensor.unsafeGetTensorImpl()) == 0) shared.push_back(parameter.tensor.grad());
  }
  for (const OwnedParameter& one : owned_) {
    const at::Tensor& p = one.parameter.tensor;
    gradients.push_back(present.count(p.unsafeGetTensorImpl()) > 0 ? p.grad() : at::Tensor());
  }
  at::Tensor squares = Zeros({tree_.nodes()}), norms = Zeros({tree_.nodes()});
  AddSquares(gradients, &squares, &norms);
  // Gradients that are not finite, be they of nodes or of shared parameters, move nothing and count for nothing; only
  // in the host's memory it costs no read to know.
  const at::Tensor fine = (squares.sum() + SharedSquares(shared)).isfinite();
  ok_ = fine.to(c10::kDouble);
  held_ = on_host_ && *ok_.data_ptr<double>() == 0;
  bad_ += 1 - ok_;
  squares = at::where(fine, squares, at::zeros_like(squares));
  norms = at::where(fine, norms, at::zeros_like(norms));
  at::Tensor score = squares.sqrt();
  const at::Tensor largest = score.max();
  if (options_.norm == "level") {
    for (int64_t level = 0; level < tree_.levels(); ++level) {
      const at::Tensor& nodes = levels_[static_cast<size_t>(level)];
      score = score.index_copy(0, nodes, score.index_select(0, nodes) * static_cast<double>(tree_.size(level)));
    }
  } else if (options_.norm == "relative") {
    score = score / WeightNorm().clamp_min(1e-20);
  }
  score_ = score;
  const SelectionShares shares = rule_->rule({tree_, options_, levels_, score_, norms, count_, last_, steps()});
  at::Tensor factors = shares.factors;
  if (rule_->reads_norms) {
    no_signal_ += largest.eq(0) * ok_;
    factors = factors * largest.gt(0);
  }
  factors_ = at::where(fine, factors, at::zeros_like(factors));
  if (options_.rule == "weight_topk" && !held_) SelectEntries();
  *steps_.data_ptr<int64_t>() += 1;
  const at::Tensor moved = factors_.gt(0);
  count_ += moved;
  effective_ += factors_;
  score_sum_ += score_;
  last_ = at::where(moved, at::full_like(last_, static_cast<double>(steps())), last_);
  // The leaf that counts for this update: the one that the rule blames, else of those selected the one with the largest
  // norm.
  const at::Tensor& leaves = levels_.back();
  const at::Tensor leaf_factors = factors_.index_select(0, leaves), leaf_score = score_.index_select(0, leaves);
  const at::Tensor best =
      shares.leaf.defined()
          ? shares.leaf
          : at::where(leaf_factors.gt(0), leaf_score, at::full_like(leaf_score, -1)).argmax().reshape({1});
  const at::Tensor any = leaf_factors.gt(0).any().to(c10::kDouble).reshape({1});
  for (const auto& [domain, share] : domains_) histogram_[domain].index_add_(0, best, any * share);
  KeepBefore(gradients);
}

std::vector<at::Tensor> Selection::Moving(const at::Tensor& whole, size_t i) const {
  const std::vector<int64_t>& nodes = owned_[i].nodes;
  std::vector<at::Tensor> slices;
  for (size_t j = 0; j < nodes.size(); ++j) {
    if (!moves_[static_cast<size_t>(nodes[j])]) continue;
    slices.push_back(nodes.size() == 1 ? whole : whole.select(0, static_cast<int64_t>(j)));
  }
  return slices.size() == nodes.size() ? std::vector<at::Tensor>{whole} : slices;
}

void Selection::KeepBefore(const std::vector<at::Tensor>& gradients) {
  // Only in the host's memory it costs no read to know which nodes stay; momentum moves what only has no gradient.
  const bool known = on_host_ && !(options_.apply == "gradient" && options_.moments == "global");
  moves_.assign(static_cast<size_t>(tree_.nodes()), true);
  for (size_t node = 0; known && node < moves_.size(); ++node) moves_[node] = factors_.data_ptr<double>()[node] > 0;
  updated_.assign(owned_.size(), false);
  for (size_t i = 0; i < owned_.size(); ++i) {
    updated_[i] = gradients[i].defined();
    if (!updated_[i]) continue;
    std::vector<at::Tensor> before = Moving(before_[i], i);
    const std::vector<at::Tensor> now = Moving(owned_[i].parameter.tensor.detach(), i);
    for (size_t j = 0; j < now.size(); ++j) before[j].copy_(now[j]);
  }
}

void Selection::Finish() {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> changes(owned_.size());
  for (size_t i = 0; i < owned_.size(); ++i) {
    if (!updated_[i]) continue;
    std::vector<at::Tensor> before = Moving(before_[i], i);
    const std::vector<at::Tensor> now = Moving(owned_[i].parameter.tensor.detach(), i);
    for (size_t j = 0; j < now.size(); ++j) before[j].sub_(now[j]);
    changes[i] = before_[i];
  }
  at::Tensor squares = Zeros({tree_.nodes()});
  AddSquares(changes, &squares, nullptr, &moves_);
  delta_sum_ += squares.sqrt();
}

void Selection::SelectEntries() {
  std::vector<at::Tensor> entries;
  for (const OwnedParameter& one : owned_) {
    if (one.parameter.tensor.grad().defined()) entries.push_back(one.parameter.tensor.grad().detach().flatten().abs());
  }
  if (entries.empty()) return;
  const at::Tensor all = at::cat(entries);
  const auto kept =
      std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(all.numel()) * options_.percent / 100));
  least_ = std::get<0>(at::kthvalue(all, all.numel() - kept + 1));
}

PartMask Selection::Of(const NamedParameter& parameter) const {
  const auto found = place_.find(parameter.tensor.unsafeGetTensorImpl());
  PartMask mask;
  mask.gradient = options_.apply == "gradient";
  if (!on_host_) mask.ok = ok_;
  if (found == place_.end()) {
    if (options_.shared != 1)
      mask.factors = at::full({1}, options_.shared, parameter.tensor.options().dtype(c10::kFloat));
    return mask;
  }
  mask.lazy = options_.moments == "lazy";
  mask.factors = factors_.index_select(0, owners_[found->second]).to(c10::kFloat);
  if (options_.rule == "weight_topk") mask.least = least_;
  return mask;
}

bool Selection::MayRest(const NamedParameter& parameter) const {
  const bool owned = place_.count(parameter.tensor.unsafeGetTensorImpl()) > 0;
  return owned ? options_.rule != "all" && options_.rule != "published" : options_.shared == 0;
}

std::vector<NamedParameter> Selection::State() const {
  return {{"count", count_},         {"effective", effective_}, {"last", last_},           {"score_sum", score_sum_},
          {"delta_sum", delta_sum_}, {"histogram", histogram_}, {"no_signal", no_signal_}, {"bad", bad_},
          {"steps", steps_}};
}

void Selection::SetDomains(const std::vector<int64_t>& domains) {
  domains_.clear();
  for (int64_t domain : domains) {
    TORCH_CHECK(domain >= 0 && domain < options_.domains, "[select] domain ", domain, " is outside of 0 to ",
                options_.domains - 1);
    domains_[domain] += 1 / static_cast<double>(domains.size());
  }
}

at::Tensor Selection::Distance() const {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> differences;
  for (size_t i = 0; i < owned_.size(); ++i) differences.push_back(owned_[i].parameter.tensor - initial_[i]);
  at::Tensor squares = Zeros({tree_.nodes()});
  AddSquares(differences, &squares, nullptr);
  return squares.sqrt();
}

at::Tensor Selection::WeightNorm() const {
  std::vector<at::Tensor> weights;
  for (const OwnedParameter& one : owned_) weights.push_back(one.parameter.tensor.detach());
  at::Tensor squares = Zeros({tree_.nodes()});
  AddSquares(weights, &squares, nullptr);
  return squares.sqrt();
}

int64_t Selection::ParametersOf(int64_t node) const {
  int64_t elements = 0;
  for (const OwnedParameter& one : owned_) {
    for (int64_t owner : one.nodes) {
      if (owner == node) elements += one.parameter.tensor.numel() / static_cast<int64_t>(one.nodes.size());
    }
  }
  return elements;
}

}  // namespace lanthorn::optim
