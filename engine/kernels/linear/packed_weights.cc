#include "engine/kernels/linear/packed_weights.h"

#include "engine/kernels/linear/linear_pack.h"
#include "engine/kernels/linear/pairs.h"

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

at::Tensor PackWeight(PackedForm form, Operands operands, const at::Tensor& weight, int64_t nodes, int64_t out,
                      int64_t in) {
  const bool floats = operands == Operands::kFloats;
  if (form == PackedForm::kForward) {
    return floats ? PackedWeights::Of(weight, nodes, out, in)
                  : PackForward(PairsAlongIn(weight, nodes * out, in), nodes, out, PlacesOf(operands, in));
  }
  const at::Tensor own = floats ? weight : PairsAlongOut(weight, nodes, out, in);
  const int64_t rows = PlacesOf(operands, out);
  return form == PackedForm::kBackward ? PackBackward(own, nodes, rows, in) : PackBackwardEach(own, nodes, rows, in);
}

}  // namespace lanthorn::kernels
