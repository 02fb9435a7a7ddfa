#include "engine/optim/select/resting_watch.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include "absl/strings/str_cat.h"
#include "engine/optim/optimizer.h"

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

// The values of what an update must leave alone, from before it to behind it.
class RestingValues {
 public:
  // Remembers `parameter` where `mask` says that parts of it stay.
  void Keep(const NamedParameter& parameter, const PartMask& mask) {
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

  // The first parameter that has other bits, or empty. Lets all values go. One read of the device for each parameter.
  std::string Moved() {
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

 private:
  struct Entry {
    NamedParameter parameter;
    at::Tensor before;
    at::Tensor rests;  // bool, broadcasts to the parameter
  };
  std::vector<Entry> entries_;
};

}  // namespace

// Passes everything on to the optimiser's own mask.
class RestingWatch::Mask final : public UpdateMask {
 public:
  explicit Mask(std::shared_ptr<UpdateMask> own) : own_(std::move(own)) {}

  void Prepare(const std::vector<NamedParameter>& parameters, const std::vector<int64_t>& domains) override {
    own_->Prepare(parameters, domains);
    if (!look_) return;
    for (const NamedParameter& parameter : parameters) values_.Keep(parameter, own_->Of(parameter));
  }
  void Finish() override {
    moved_ = values_.Moved();
    own_->Finish();
  }
  PartMask Of(const NamedParameter& parameter) const override { return own_->Of(parameter); }
  bool IsHeld() const override { return own_->IsHeld(); }
  bool MayRest(const NamedParameter& parameter) const override { return own_->MayRest(parameter); }
  std::vector<NamedParameter> State() const override { return own_->State(); }

  const std::shared_ptr<UpdateMask>& own() const { return own_; }
  void Look(bool on) { look_ = on; }
  const std::string& moved() const { return moved_; }

 private:
  std::shared_ptr<UpdateMask> own_;
  bool look_ = false;
  RestingValues values_;
  std::string moved_;
};

RestingWatch::RestingWatch(Optimizer* optimizer) : optimizer_(optimizer) {
  if (optimizer->mask() == nullptr) return;
  mask_ = std::make_shared<Mask>(optimizer->mask());
  optimizer->SetMask(mask_);
}

RestingWatch::~RestingWatch() {
  if (mask_ != nullptr && optimizer_->mask() == mask_) optimizer_->SetMask(mask_->own());
}

void RestingWatch::Look(bool on) {
  if (mask_ != nullptr) mask_->Look(on);
}

const std::string& RestingWatch::moved() const {
  static const std::string none;
  return mask_ != nullptr ? mask_->moved() : none;
}

}  // namespace lanthorn::optim
