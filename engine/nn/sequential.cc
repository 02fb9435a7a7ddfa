#include "engine/nn/sequential.h"

namespace lanthorn::nn {

int64_t Sequential::StateSize() const {
  int64_t size = 0;
  for (const auto& [name, child] : children()) size += child->StateSize();
  return size;
}

std::optional<Module::Head> Sequential::LinearHead() const {
  return children().empty() ? std::nullopt : children().back().second->LinearHead();
}

at::Tensor Sequential::Forward(const at::Tensor& input, State* state) { return Through(input, state, false); }
at::Tensor Sequential::Features(const at::Tensor& input, State* state) { return Through(input, state, true); }

at::Tensor Sequential::Through(const at::Tensor& input, State* state, bool split) {
  TORCH_CHECK(!children().empty(), "[", kind(), "] has no layers");
  const bool carried = state != nullptr && !state->empty();
  TORCH_CHECK(!carried || static_cast<int64_t>(state->size()) == StateSize(), "[", kind(), "] state must hold ",
              StateSize(), " tensors, got ", state->size());
  at::Tensor x = input;
  State next;
  int64_t taken = 0;
  const Module* last = children().back().second.get();
  const auto apply = [&](Module& child, State* own) {
    return split && &child == last ? child.Features(x, own) : child.Forward(x, own);
  };
  for (const auto& [name, child] : children()) {
    const int64_t size = child->StateSize();
    if (state == nullptr || size == 0) {
      x = apply(*child, nullptr);
      continue;
    }
    State part;
    if (carried) part.assign(state->begin() + taken, state->begin() + taken + size);
    x = apply(*child, &part);
    next.insert(next.end(), part.begin(), part.end());
    taken += size;
  }
  if (state != nullptr) *state = std::move(next);
  return x;
}

}  // namespace lanthorn::nn
