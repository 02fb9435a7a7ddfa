#include "engine/train/guards/alive_check.h"

#include <ATen/Functions.h>

#include <set>

#include "absl/strings/str_join.h"

namespace lanthorn::train {

AliveCheck::AliveCheck(const std::vector<nn::NamedParameter>& parameters, const std::vector<std::string>& allowed,
                       const std::function<bool(const nn::NamedParameter&)>& may_rest) {
  const std::set<std::string> may_be_dead(allowed.begin(), allowed.end());
  for (const nn::NamedParameter& parameter : parameters) {
    if (!parameter.tensor.requires_grad() || may_be_dead.count(parameter.name) > 0) continue;
    const bool rests = may_rest != nullptr && may_rest(parameter);
    waiting_.push_back({parameter, rests ? at::Tensor() : parameter.tensor.detach().clone(), false, rests});
  }
}

absl::Status AliveCheck::AfterUpdate(int64_t step, bool last) {
  std::vector<std::string> without;
  for (Waiting& waiting : waiting_) {
    const at::Tensor& gradient = waiting.parameter.tensor.grad();
    if (!gradient.defined()) {
      without.push_back(waiting.parameter.name);
      continue;
    }
    waiting.had_gradient = waiting.had_gradient || (at::isfinite(gradient).all() & gradient.ne(0).any()).item<bool>();
    waiting.moved = waiting.moved || !at::equal(waiting.before, waiting.parameter.tensor.detach());
  }
  if (step == 1 && !without.empty()) {
    return NumericsError("G30 dead_parameter: no gradient reaches " + absl::StrJoin(without, ", ") +
                         "; the loss does not depend on it: check the forward (a detach, an unused layer), or freeze "
                         "it with requires_grad_(false), or name it in train.allow_dead");
  }
  waiting_.erase(
      std::remove_if(waiting_.begin(), waiting_.end(), [](const Waiting& w) { return w.had_gradient && w.moved; }),
      waiting_.end());
  if (waiting_.empty() || (step < kUpdates && !last)) return absl::OkStatus();
  std::vector<std::string> dead;
  for (const Waiting& waiting : waiting_) {
    dead.push_back(waiting.parameter.name +
                   (waiting.had_gradient ? " (did not move)" : " (gradient zero or not finite)"));
  }
  return NumericsError("G30 dead_parameter: after " + std::to_string(step) + " updates: " + absl::StrJoin(dead, ", ") +
                       "; is the learning rate 0, or the layer cut off? what cannot move, such as a recurrent weight "
                       "with sequences of length 1, belongs in train.allow_dead");
}

absl::Status CheckDevices(const std::vector<nn::NamedParameter>& parameters, c10::Device device) {
  for (const nn::NamedParameter& parameter : parameters) {
    for (const at::Tensor& tensor : {parameter.tensor, parameter.tensor.grad()}) {
      if (tensor.defined() && tensor.device() != device) {
        return MachineError("G01 device: '" + parameter.name + "' is on " + tensor.device().str() +
                            ", training is on " + device.str());
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace lanthorn::train
