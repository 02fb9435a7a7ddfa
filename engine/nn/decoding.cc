#include "engine/nn/decoding.h"

#include <ATen/Functions.h>

#include <algorithm>

namespace lanthorn::nn {
namespace {
thread_local Decoding* innermost = nullptr;
constexpr int64_t kLeastRoom = 64;
}  // namespace

Decoding::Decoding(int64_t most) : most_(most), outer_(innermost) { innermost = this; }
Decoding::~Decoding() { innermost = outer_; }

Decoding* Decoding::Current() { return innermost; }

at::Tensor Decoding::Append(const Module* layer, const at::Tensor& rows) {
  Kept& kept = kept_[layer];
  TORCH_CHECK(kept.length == past_, "[decoding] a layer was called ", kept.length > past_ ? "twice" : "not at all",
              " in one forward; a model whose layers are called once each can be decoded");
  const int64_t length = past_ + rows.size(1);
  if (!kept.rows.defined() || kept.rows.size(1) < length) {
    int64_t room = std::max({kLeastRoom, length, 2 * past_});
    if (most_ > 0) room = std::max(length, std::min(room, most_));
    const at::Tensor larger = at::empty({rows.size(0), room, rows.size(2)}, rows.options());
    if (past_ > 0) larger.narrow(1, 0, past_).copy_(kept.rows.narrow(1, 0, past_));
    kept.rows = larger;
  }
  kept.rows.narrow(1, past_, rows.size(1)).copy_(rows);
  kept.length = length;
  return kept.rows.narrow(1, 0, length);
}

}  // namespace lanthorn::nn
