// Eval mode, and each module back in the mode it had at the end of its life: a part may be in eval mode on its own.
#pragma once

#include <utility>
#include <vector>

#include "engine/nn/module.h"

namespace lanthorn::train {

// Training or eval, of each module: back as it was at the end of its life.
class KeptModes {
 public:
  explicit KeptModes(nn::Module& model) {
    for (nn::Module* module : model.Modules()) modes_.emplace_back(module, module->training());
  }
  ~KeptModes() {
    for (const auto& [module, training] : modes_) module->SetMode(training);
  }
  KeptModes(const KeptModes&) = delete;
  KeptModes& operator=(const KeptModes&) = delete;

 private:
  std::vector<std::pair<nn::Module*, bool>> modes_;
};

class EvalScope {
 public:
  explicit EvalScope(nn::Module& model) : modes_(model) { model.Train(false); }

 private:
  KeptModes modes_;
};

// Training mode for a model that is in eval mode as a whole; one in training mode keeps its parts as they are.
inline void BeginTraining(nn::Module& model) {
  if (!model.training()) model.Train(true);
}

}  // namespace lanthorn::train
