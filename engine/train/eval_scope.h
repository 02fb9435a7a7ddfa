// Eval mode, and back at the end of its life.
#pragma once

#include "engine/nn/module.h"

namespace lanthorn::train {

class EvalScope {
 public:
  explicit EvalScope(nn::Module& model) : model_(model), was_training_(model.training()) { model_.Train(false); }
  ~EvalScope() { model_.Train(was_training_); }
  EvalScope(const EvalScope&) = delete;
  EvalScope& operator=(const EvalScope&) = delete;

 private:
  nn::Module& model_;
  bool was_training_;
};

}  // namespace lanthorn::train
