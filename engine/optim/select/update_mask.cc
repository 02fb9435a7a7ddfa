#include "engine/optim/select/update_mask.h"

#include <ATen/core/grad_mode.h>

#include <map>

#include "absl/strings/str_cat.h"

namespace lanthorn::optim {

absl::Status UpdateMask::LoadState(const std::vector<NamedParameter>& tensors) {
  std::map<std::string, at::Tensor> by_name;
  for (const NamedParameter& tensor : tensors) by_name[tensor.name] = tensor.tensor;
  const std::vector<NamedParameter> own = State();
  for (const NamedParameter& state : own) {
    const auto found = by_name.find(state.name);
    if (found == by_name.end()) return WeightsError(absl::StrCat("select: the state '", state.name, "' is missing"));
    if (found->second.sizes() != state.tensor.sizes()) {
      return WeightsError(absl::StrCat("select: the state '", state.name, "' has ", found->second.numel(),
                                       " elements, expected ", state.tensor.numel()));
    }
  }
  const at::NoGradGuard no_grad;
  for (const NamedParameter& state : own) {
    at::Tensor values = state.tensor;
    values.copy_(by_name[state.name]);
  }
  return absl::OkStatus();
}

}  // namespace lanthorn::optim
