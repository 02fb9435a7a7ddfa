// Keeps the packed weights of StackedLinear from forward to forward, for whoever calls a model often while no weight
// changes: text is drawn a token at a time, and packing costs as much as such a product.
#pragma once

#include <ATen/core/Tensor.h>

#include <unordered_map>
#include <utility>

#include "engine/kernels/simd/operands.h"

namespace lanthorn::kernels {

// A scope of this thread, the inner of two holds. Weights that change inside of it are not seen to change.
class PackedWeights {
 public:
  PackedWeights();
  ~PackedWeights();
  PackedWeights(const PackedWeights&) = delete;
  PackedWeights& operator=(const PackedWeights&) = delete;

  static bool IsOpen();
  // PackForward of a weight, kept if a scope is open.
  static at::Tensor Of(const at::Tensor& weight, int64_t nodes, int64_t out, int64_t in);

 private:
  // By the weight's memory, which is held.
  std::unordered_map<const void*, std::pair<at::Tensor, at::Tensor>> packed_;
  PackedWeights* outer_;
};

// The forms that products read a weight in (linear_pack.h), and such a weight (nodes * out, in) of operands of a kind.
enum class PackedForm { kForward, kBackward, kBackwardEach };
at::Tensor PackWeight(PackedForm form, Operands operands, const at::Tensor& weight, int64_t nodes, int64_t out,
                      int64_t in);

}  // namespace lanthorn::kernels
