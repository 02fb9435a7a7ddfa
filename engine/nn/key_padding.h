// Which positions of a batch are padding: a scope, not an argument. A model that knows its padding opens one around the
// forward of its layers, and every attention inside leaves those keys out.
#pragma once

#include <ATen/core/Tensor.h>

namespace lanthorn::nn {

class KeyPadding {
 public:
  // `padding`: (B, T) bool, true at padded positions; or (B) int64, the lengths, with padding behind them. The inner of
  // two scopes holds. Anything else is c10::Error with the tag [KeyPadding].
  explicit KeyPadding(const at::Tensor& padding);
  ~KeyPadding();
  KeyPadding(const KeyPadding&) = delete;
  KeyPadding& operator=(const KeyPadding&) = delete;

  // The padding of this thread's innermost scope as (B, T) bool, or an undefined tensor without one. A scope of other
  // sizes, or a length outside of the input (looked at on the CPU alone), is c10::Error.
  static at::Tensor Current(int64_t batch, int64_t length, c10::Device device);

 private:
  at::Tensor padding_;
  KeyPadding* outer_;
};

}  // namespace lanthorn::nn
