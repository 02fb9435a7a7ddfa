#include "engine/nn/key_padding.h"

#include <ATen/Functions.h>

namespace lanthorn::nn {
namespace {
thread_local KeyPadding* innermost = nullptr;
}

KeyPadding::KeyPadding(const at::Tensor& padding) : padding_(padding), outer_(innermost) {
  const bool mask = padding.defined() && padding.scalar_type() == c10::kBool && padding.dim() == 2;
  const bool lengths = padding.defined() && padding.scalar_type() == c10::kLong && padding.dim() == 1;
  TORCH_CHECK(mask || lengths,
              "[KeyPadding] expected a bool (B, T), true at padded positions, or int64 lengths (B), got ",
              padding.defined() ? c10::str(padding.scalar_type(), " ", padding.sizes()) : "nothing");
  innermost = this;
}

KeyPadding::~KeyPadding() { innermost = outer_; }

at::Tensor KeyPadding::Current(int64_t batch, int64_t length, c10::Device device) {
  if (innermost == nullptr) return {};
  at::Tensor padding = innermost->padding_.to(device);
  TORCH_CHECK(padding.size(0) == batch, "[KeyPadding] the input has ", batch, " samples, the padding ",
              padding.size(0));
  if (padding.dim() == 1 && innermost->padding_.device().is_cpu() && batch > 0) {
    const int64_t low = innermost->padding_.min().item<int64_t>(), high = innermost->padding_.max().item<int64_t>();
    TORCH_CHECK(low >= 0 && high <= length, "[KeyPadding] lengths must be from 0 to ", length,
                ", the positions of the input, got ", low < 0 ? low : high);
  }
  if (padding.dim() == 1) return at::arange(length, padding.options()).unsqueeze(0).ge(padding.unsqueeze(1));
  TORCH_CHECK(padding.size(1) == length, "[KeyPadding] the input has ", length, " positions, the padding ",
              padding.size(1));
  return padding;
}

}  // namespace lanthorn::nn
