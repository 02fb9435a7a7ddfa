// Buffers stay what they are: at the end of its life the same tensors with the same values stand in their places as at
// its beginning, whatever a forward in training mode did to running averages, or a script put in their place.
#pragma once

#include <ATen/core/grad_mode.h>

#include <string>
#include <vector>

#include "engine/nn/module.h"

namespace lanthorn::nn {

class BuffersAside {
 public:
  explicit BuffersAside(Module& module) {
    for (Module* part : module.Modules()) {
      for (const NamedParameter& buffer : part->OwnBuffers())
        kept_.push_back({part, buffer.name, buffer.tensor, buffer.tensor.detach().clone()});
    }
  }
  ~BuffersAside() {
    const at::NoGradGuard no_grad;
    for (const Kept& kept : kept_) {
      kept.tensor.copy_(kept.values);
      // Another tensor may stand there, which is somebody else's: a batch, or a view of the data.
      if (!kept.part->Own(kept.name).is_same(kept.tensor)) (void)kept.part->Tie(kept.name, kept.tensor);
    }
  }
  BuffersAside(const BuffersAside&) = delete;
  BuffersAside& operator=(const BuffersAside&) = delete;

 private:
  struct Kept {
    Module* part;
    std::string name;
    at::Tensor tensor, values;
  };
  std::vector<Kept> kept_;
};

}  // namespace lanthorn::nn
