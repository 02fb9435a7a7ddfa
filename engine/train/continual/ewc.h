// Elastic weight consolidation (Kirkpatrick et al. 2017, "Overcoming catastrophic forgetting in neural networks"):
// after each task the weights are held near where they are, the more the more important they were for it. With
// d = p - p* and the importance F of fisher.h:
//
//   raw     strength * sum F d^2                             scaled  F over the largest of all
//   target  F times target / sum over tensors of ||F||       layer   F over the largest of its tensor
//   l2      strength * sum d^2: the control without any importance
//   dr      strength * sum over F >= threshold of F d^2 - release * sum over the others of min(d^2, cap^2)
//
// Scaling goes into the strength, never into F: scaled with s is raw with s / max F, bit for bit. The sum over several
// tasks is one of the same form: F = sum F_k, p* = sum F_k p*_k / F, and a constant; dr keeps its tasks apart.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "engine/train/continual/ewc_options.h"
#include "engine/train/continual/penalty.h"

namespace lanthorn::train {

// What a task left.
struct AnchorReport {
  double largest = 0, sum = 0;  // of F
  double dead = 0;              // share of weights whose F is 0 (dr: below the threshold)
  double strength = 0;          // what F is multiplied by, over all tensors the same but for form=layer
};

class Ewc final : public Penalty {
 public:
  static constexpr double kLeastFisher = 1e-10;

  // ConfigError for a strength, target, threshold, release or cap that is negative or not finite.
  static absl::StatusOr<std::shared_ptr<Ewc>> Make(const EwcOptions& options);

  // From now on the parameters are held near where they are. `fisher` has a tensor for each, undefined where a
  // parameter had no gradient. NumericsError where no F reaches 1e-10 and is to be divided by (not raw and l2).
  absl::StatusOr<AnchorReport> AddAnchor(const std::vector<nn::NamedParameter>& parameters,
                                         const std::vector<at::Tensor>& fisher);

  const char* name() const override { return "ewc"; }
  bool active() const override { return !anchors_.empty(); }
  void CountUpdate() override;
  absl::StatusOr<double> AddGradient(const std::vector<nn::NamedParameter>& parameters) override;
  NamedTensors Tensors() const override;
  nlohmann::json State() const override;
  void Clear() override;
  absl::Status Load(const NamedTensors& tensors, const nlohmann::json& state) override;

  // Over all updates since the first anchor.
  struct Counts {
    int64_t updates = 0, with_gradient = 0;
    double last = 0;  // value
  };
  const Counts& counts() const { return counts_; }
  // How far the parameters are from the newest anchor.
  double Distance(const std::vector<nn::NamedParameter>& parameters) const;
  int64_t tasks() const { return tasks_; }

 private:
  // Tensors by parameter. A factor is what F is multiplied by there.
  struct Anchor {
    std::vector<std::string> names;
    std::vector<at::Tensor> fisher, values;  // fisher is undefined where nothing is held
    std::vector<double> factors;
    double constant = 0, least = 0;  // least: of form=dr, the F from which a weight is important
  };
  explicit Ewc(const EwcOptions& options) : options_(options) {}
  bool dr() const { return options_.form == "dr"; }
  absl::StatusOr<std::vector<double>> Factors(const std::vector<at::Tensor>& fisher, AnchorReport* report) const;
  double Least(const AnchorReport& report) const;
  void Merge(const Anchor& anchor);

  // What one anchor makes of the parameters as they are: its value, and its gradient for each, undefined where nothing
  // is held.
  double ValueAndGradients(const Anchor& anchor, const std::vector<nn::NamedParameter>& parameters,
                           std::vector<at::Tensor>* gradients) const;

  EwcOptions options_;
  std::vector<Anchor> anchors_;
  std::vector<at::Tensor> newest_;  // values of the newest anchor
  int64_t tasks_ = 0;
  Counts counts_;
  bool had_gradient_ = false;  // of the last AddGradient
};

}  // namespace lanthorn::train
