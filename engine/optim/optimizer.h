// Optimisers with PyTorch's update rules, over parameter groups. One file each; found through the registry.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/ivalue.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/nn/module.h"
#include "engine/optim/select/update_mask.h"

namespace lanthorn::optim {

// Options of one group by name ("lr", "beta1", "weight_decay", ...), all numbers.
using Options = std::map<std::string, double>;

struct Group {
  std::vector<NamedParameter> parameters;
  Options options;     // complete
  double base_lr = 0;  // the learning rate before the schedule's factor
};

class Optimizer {
 public:
  explicit Optimizer(std::string name) : name_(std::move(name)) {}
  virtual ~Optimizer() = default;

  // Adds parameters with these options; every option must be complete. A parameter given twice is c10::Error.
  void AddGroup(std::vector<NamedParameter> parameters, Options options);

  // One update from the gradients times `gradient_scale`, which is how a clip by the global norm costs no pass of its
  // own; the gradients themselves stay as they are. Parameters without a gradient stay as they are. `domains` is for
  // the mask: which of several texts each batch of the update comes from.
  void Step(double gradient_scale = 1, const std::vector<int64_t>& domains = {});
  // Whether its state tells where the weights were going: Adam's moments, SGD's momentum.
  virtual bool Extrapolates() const { return false; }
  // Moves the weights on as `steps` updates without gradients would, update j by gamma^j of its length: Adam's first
  // moment and SGD's buffer decay, Adam's second moment and its count of updates stay. All of them in one pass.
  virtual void Extrapolate(double gamma, int64_t steps) {}
  // Multiplies every group's base learning rate: how a schedule acts.
  void SetLrFactor(double factor);
  // From now on updates move only what the mask lets them; nullptr: everything. The mask's state is part of this
  // optimiser's.
  void SetMask(std::shared_ptr<UpdateMask> mask) { mask_ = std::move(mask); }
  const std::shared_ptr<UpdateMask>& mask() const { return mask_; }
  double lr() const { return groups_.empty() ? 0 : groups_[0].options.at("lr"); }

  const std::string& name() const { return name_; }
  std::vector<Group>& groups() { return groups_; }
  int64_t steps() const { return steps_; }

  // Numbers of state for each element of a parameter, with the options of its groups: for memory estimates.
  virtual int64_t SlotsPerElement() const = 0;
  // State tensors as "<slot>/<parameter>", such as "exp_avg/rnn.weight_hh_l0", those of the mask as "select/<name>".
  std::vector<NamedParameter> StateTensors() const;
  // Takes back what StateTensors and steps() gave: values are copied. All state that was there is dropped. WeightsError
  // for a tensor of no parameter, or of another shape than its parameter (a scalar "step" apart).
  absl::Status LoadState(const std::vector<NamedParameter>& tensors, int64_t steps);

 protected:
  // One parameter with its gradient in this step.
  struct Pending {
    const Group* group;
    const NamedParameter* parameter;
    at::Tensor gradient;
    PartMask mask = {};
  };
  // Updates all parameters from their gradients times `scale`: flat float32 ones in one pass
  // (kernels/update/flat_updates.h), all others by plain operators.
  virtual void Update(const std::vector<Pending>& all, double scale) = 0;
  // Whether an option is other than 0 in any group.
  bool Uses(const std::string& option) const;
  // The named state of a parameter, zeros at first.
  at::Tensor& Slot(const NamedParameter& parameter, const char* slot);
  bool HasSlot(const NamedParameter& parameter, const char* slot) const;
  // How often this parameter was updated, this update included: its state "step", a float64 scalar on the CPU. Under a
  // lazy mask one number for each slice, beside the parameter; what is not selected does not count.
  at::Tensor CountUpdate(const Pending& one);

 private:
  std::string name_;
  int64_t steps_ = 0;
  std::vector<Group> groups_;
  std::shared_ptr<UpdateMask> mask_;
  std::map<const void*, std::map<std::string, at::Tensor>> slots_;  // by the parameter's TensorImpl
};

struct OptimizerSpec {
  const char* signature;  // "Adam(float lr=0.001, ...)"; numbers only, a bool counts as 0 or 1
  const char* doc;
  std::function<std::unique_ptr<Optimizer>()> make;
  std::string name() const { return std::string(signature).substr(0, std::string(signature).find('(')); }
};

std::vector<OptimizerSpec>& Optimizers();

// ConfigError "optim.Adam: ..." for options of a group that this optimiser cannot train with.
absl::Status CheckOptions(const std::string& name, const Options& options);

struct RegisterOptimizer {
  explicit RegisterOptimizer(OptimizerSpec spec) { Optimizers().push_back(std::move(spec)); }
};

// Norm of all gradients together, accumulated in float64; parameters without gradient count as 0.
double GradientNorm(const std::vector<NamedParameter>& parameters);
// What gradients of this norm are multiplied by for a norm of at most `max_norm`, as torch.nn.utils.clip_grad_norm_.
double ClipScale(double max_norm, double norm);
// Scales all gradients so that their norm is at most `max_norm`, as torch.nn.utils.clip_grad_norm_. `norm` is the norm
// now. A training step gives ClipScale to Optimizer::Step instead.
void ClipNorm(const std::vector<NamedParameter>& parameters, double max_norm, double norm);
// Scales each parameter's gradient so that its own norm is at most `max_norm`.
void ClipEach(const std::vector<NamedParameter>& parameters, double max_norm);
// Limits every gradient element to [-limit, limit].
void ClipValue(const std::vector<NamedParameter>& parameters, double limit);

}  // namespace lanthorn::optim
