// Buffers keep their values: at the end of its life they are what they were at its beginning, such as running averages
// that a forward in training mode moves.
#pragma once

#include <ATen/core/grad_mode.h>

#include <string>
#include <utility>
#include <vector>

#include "engine/nn/module.h"

namespace lanthorn::nn {

class BuffersAside {
 public:
  explicit BuffersAside(const Module& module) : module_(module) {
    for (const NamedParameter& buffer : module.Buffers())
      kept_.push_back({buffer.name, buffer.tensor.detach().clone()});
  }
  ~BuffersAside() {
    const at::NoGradGuard no_grad;
    for (const NamedParameter& buffer : module_.Buffers()) {  // a script may have put another tensor in its place
      for (const NamedParameter& kept : kept_) {
        if (kept.name == buffer.name) buffer.tensor.copy_(kept.tensor);
      }
    }
  }
  BuffersAside(const BuffersAside&) = delete;
  BuffersAside& operator=(const BuffersAside&) = delete;

 private:
  const Module& module_;
  std::vector<NamedParameter> kept_;
};

}  // namespace lanthorn::nn
