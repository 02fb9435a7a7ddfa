// How the positions of a batch are related: a scope, not an argument. A model that knows relations opens one around the
// forward of its layers, and every attention inside that has tables for them adds its bias to the scores.
#pragma once

#include <ATen/core/Tensor.h>

namespace lanthorn::nn {

class KeyRelations {
 public:
  // `relations`: (B, T) int64, 0 for none. The inner of two scopes holds. Anything else is c10::Error with the tag
  // [KeyRelations].
  explicit KeyRelations(const at::Tensor& relations);
  ~KeyRelations();
  KeyRelations(const KeyRelations&) = delete;
  KeyRelations& operator=(const KeyRelations&) = delete;

  // The relations of this thread's innermost scope, (B, T). Without a scope, or with one of other sizes, c10::Error
  // that names the layer.
  static at::Tensor Current(int64_t batch, int64_t length, c10::Device device, const char* layer);

 private:
  at::Tensor relations_;
  KeyRelations* outer_;
};

}  // namespace lanthorn::nn
