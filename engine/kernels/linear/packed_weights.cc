#include "engine/kernels/linear/packed_weights.h"

#include "engine/kernels/linear/linear_pack.h"

namespace lanthorn::kernels {
namespace {
thread_local PackedWeights* innermost = nullptr;
}

PackedWeights::PackedWeights() : outer_(innermost) { innermost = this; }
PackedWeights::~PackedWeights() { innermost = outer_; }

bool PackedWeights::IsOpen() { return innermost != nullptr; }

at::Tensor PackedWeights::Of(const at::Tensor& weight, int64_t nodes, int64_t out, int64_t in) {
  if (innermost == nullptr) return PackForward(weight, nodes, out, in);
  auto& [held, packed] = innermost->packed_[weight.data_ptr()];
  if (!packed.defined()) {
    held = weight;
    packed = PackForward(weight, nodes, out, in);
  }
  return packed;
}

}  // namespace lanthorn::kernels
