#include "engine/nn/layers/sequential.h"

namespace lanthorn::nn {

int64_t Sequential::StateSize() const {
  int64_t size = 0;
  for (const auto& [name, child] : children()) {
    if (child->scripted() && child->HoldsState()) return 0;  // what that one carries is its own affair
    size += child->StateSize();
  }
  return size;
}

std::optional<Module::Head> Sequential::LinearHead() const {
  if (children().empty() || children().back().second->scripted()) return std::nullopt;
  return children().back().second->LinearHead();
}

at::Tensor Sequential::Compute(const at::Tensor& input, State* state) { return Through(input, state, false); }
at::Tensor Sequential::Features(const at::Tensor& input, State* state) { return Through(input, state, true); }

at::Tensor Sequential::Through(const at::Tensor& input, State* state, bool split) {
  TORCH_CHECK(!children().empty(), "[", kind(), "] has no layers");
  const bool carries = StateSize() > 0, carried = state != nullptr && !state->empty();
  TORCH_CHECK(!carried || static_cast<int64_t>(state->size()) == StateSize(), "[", kind(), "] state must hold ",
              StateSize(), " tensors, got ", state->size());
  at::Tensor x = input;
  State next;
  int64_t taken = 0;
  at::Tensor table;  // when there, x holds ids of its rows
  for (size_t i = 0; i < children().size(); ++i) {
    Module& child = *children()[i].second;
    const bool last = i + 1 == children().size();
    const at::Tensor rows = child.scripted() ? at::Tensor() : child.RowTable();
    if (rows.defined() && !last && !table.defined()) {
      table = rows;
      continue;
    }
    const int64_t size = child.StateSize();
    State part;
    State* const own = state != nullptr && size > 0 && carries ? &part : nullptr;
    if (own != nullptr && carried) part.assign(state->begin() + taken, state->begin() + taken + size);
    std::optional<at::Tensor> y;
    if (table.defined()) {
      if (!child.scripted()) y = child.ForwardRows(x, table, own);
      if (!y) x = children()[i - 1].second->Forward(x, nullptr);
      table.reset();
    }
    x = y ? *y : split && last ? child.Features(x, own) : child.Forward(x, own);
    next.insert(next.end(), part.begin(), part.end());
    taken += size;
  }
  if (state != nullptr) *state = std::move(next);
  return x;
}

}  // namespace lanthorn::nn
