#include "engine/train/guards/recompute_check.h"

namespace lanthorn::train {
namespace {

bool AnyRecomputes(const nn::Module& module) {
  if (module.Recomputes()) return true;
  for (const auto& [name, child] : module.children()) {
    if (AnyRecomputes(*child)) return true;
  }
  return false;
}

}  // namespace

absl::Status CheckRecompute(const nn::Module& model) {
  if (AnyRecomputes(model)) return absl::OkStatus();
  return ConfigError(
      "train.recompute=true: no layer of this model computes its activations again (transformer blocks and trees of "
      "them do); remove it");
}

}  // namespace lanthorn::train
