// Eval mode, and each module back in the mode it had at the end of its life: a part may be in eval mode on its own.
#pragma once

#include <utility>
#include <vector>

#include "engine/nn/module.h"

namespace lanthorn::train {

class EvalScope {
 public:
  explicit EvalScope(nn::Module& model) {
    for (nn::Module* module : model.Modules()) modes_.emplace_back(module, module->training());
    model.Train(false);
  }
  ~EvalScope() {
    for (const auto& [module, training] : modes_) module->SetMode(training);
  }
  EvalScope(const EvalScope&) = delete;
  EvalScope& operator=(const EvalScope&) = delete;

 private:
  std::vector<std::pair<nn::Module*, bool>> modes_;
};

// Training mode for a model that is in eval mode as a whole; one in training mode keeps its parts as they are.
inline void BeginTraining(nn::Module& model) {
  if (!model.training()) model.Train(true);
}

}  // namespace lanthorn::train
