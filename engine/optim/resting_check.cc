#include "engine/optim/resting_check.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include "absl/strings/str_cat.h"

namespace lanthorn::optim {
namespace {

// A view of the same bits as integers: a NaN that stays one has not moved, and 0 that became -0 has.
at::Tensor Bits(const at::Tensor& tensor) {
  const at::Tensor plain = tensor.detach().contiguous();
  switch (plain.element_size()) {
    case 8:
      return plain.view(c10::kLong);
    case 4:
      return plain.view(c10::kInt);
    default:
      return plain.view(c10::kShort);
  }
}

}  // namespace

void RestingCheck::Keep(const NamedParameter& parameter, const PartMask& mask) {
  if ((mask.gradient && !mask.lazy) || mask.IsWhole()) return;
  const at::NoGradGuard no_grad;
  const at::Tensor& p = parameter.tensor;
  at::Tensor rests = at::zeros({}, p.options().dtype(c10::kBool).requires_grad(false));
  if (mask.factors.defined()) {
    std::vector<int64_t> shape(static_cast<size_t>(p.dim()), 1);
    if (mask.factors.numel() > 1) shape[0] = mask.factors.numel();
    rests = mask.factors.eq(0).reshape(shape);
  }
  if (mask.least.defined()) rests = rests.logical_or(p.grad().detach().abs().lt(mask.least));
  if (mask.ok.defined()) rests = rests.logical_or(mask.ok.eq(0));
  entries_.push_back({parameter, p.detach().clone(c10::MemoryFormat::Contiguous), rests});
}

std::string RestingCheck::Moved() {
  const at::NoGradGuard no_grad;
  std::string found;
  for (const Entry& entry : entries_) {
    const at::Tensor moved = Bits(entry.parameter.tensor).ne(Bits(entry.before)).logical_and(entry.rests);
    if (!moved.any().item<bool>()) continue;
    found = absl::StrCat("'", entry.parameter.name, "'");
    if (entry.parameter.tensor.dim() > 0)
      absl::StrAppend(&found, ", slice ", moved.nonzero().select(0, 0).select(0, 0).item<int64_t>());
    break;
  }
  entries_.clear();
  return found;
}

}  // namespace lanthorn::optim
