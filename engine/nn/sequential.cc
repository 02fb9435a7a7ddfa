#include "engine/nn/sequential.h"

namespace lanthorn::nn {

int64_t Sequential::StateSize() const {
  int64_t size = 0;
  for (const auto& [name, child] : children()) size += child->StateSize();
  return size;
}

at::Tensor Sequential::Forward(const at::Tensor& input, State* state) {
  TORCH_CHECK(!children().empty(), "[", kind(), "] has no layers");
  const bool carried = state != nullptr && !state->empty();
  TORCH_CHECK(!carried || static_cast<int64_t>(state->size()) == StateSize(), "[", kind(), "] state must hold ",
              StateSize(), " tensors, got ", state->size());
  at::Tensor x = input;
  State next;
  int64_t taken = 0;
  for (const auto& [name, child] : children()) {
    const int64_t size = child->StateSize();
    if (state == nullptr || size == 0) {
      x = child->Forward(x, nullptr);
      continue;
    }
    State part;
    if (carried) part.assign(state->begin() + taken, state->begin() + taken + size);
    x = child->Forward(x, &part);
    next.insert(next.end(), part.begin(), part.end());
    taken += size;
  }
  if (state != nullptr) *state = std::move(next);
  return x;
}

}  // namespace lanthorn::nn
