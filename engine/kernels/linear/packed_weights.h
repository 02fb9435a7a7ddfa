// Keeps the packed weights of StackedLinear from forward to forward, for whoever calls a model often while no weight
// changes: text is drawn a token at a time, and packing costs as much as such a product.
#pragma once

#include <ATen/core/Tensor.h>

#include <unordered_map>
#include <utility>

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

}  // namespace lanthorn::kernels
