#include "engine/train/guards/protected_check.h"

#include <ATen/Functions.h>

#include <cstring>

#include "absl/strings/str_format.h"
#include "engine/optim/select/resting_watch.h"
#include "engine/train/guards/loop_guard.h"

namespace lanthorn::train {
namespace {

// By bytes: a NaN that stays one has not moved, and 0 that became -0 has.
bool SameBytes(const at::Tensor& a, const at::Tensor& b) {
  if (!a.device().is_cpu()) return at::equal(a, b);
  const at::Tensor plain = a.contiguous();
  return plain.numel() == 0 || std::memcmp(plain.data_ptr(), b.data_ptr(), plain.nbytes()) == 0;
}

}  // namespace

ProtectedCheck::ProtectedCheck(std::vector<nn::NamedParameter> parameters) {
  for (nn::NamedParameter& parameter : parameters) {
    Entry entry{std::move(parameter), {}};
    if (!entry.parameter.tensor.requires_grad())
      entry.before = entry.parameter.tensor.detach().clone(c10::MemoryFormat::Contiguous);
    entries_.push_back(std::move(entry));
  }
}

std::optional<Warning> ProtectedCheck::AfterUpdate(int64_t own_step, int64_t step) {
  const bool look = Looks(own_step);
  for (Entry& entry : entries_) {
    if (entry.parameter.tensor.requires_grad()) {
      if (entry.before.defined()) entry.before.reset();
      continue;
    }
    if (!entry.before.defined()) {
      entry.before = entry.parameter.tensor.detach().clone(c10::MemoryFormat::Contiguous);
      continue;
    }
    if (!look || SameBytes(entry.parameter.tensor.detach(), entry.before)) continue;
    const double moved = (entry.parameter.tensor.detach() - entry.before).abs().max().item<double>();
    entry.before = entry.parameter.tensor.detach().clone(c10::MemoryFormat::Contiguous);
    return Warning{
        absl::StrFormat("G43 protected: frozen parameter '%s' has changed by update %d (by up to %.3g), expected "
                        "the same bits; does momentum, weight decay or a callback move it? to accept: "
                        "guards.protected=off",
                        entry.parameter.name, step, moved),
        step, moved, 0.0};
  }
  return std::nullopt;
}

Warning MovedAtRest(const std::string& what, int64_t step) {
  return {absl::StrFormat("G43 protected: update %d has changed parameter %s, which is not selected, expected the same "
                          "bits; the optimiser ignores its mask; to accept: guards.protected=off",
                          step, what),
          step,
          {},
          {}};
}

namespace {

class ProtectedGuard final : public LoopGuard {
 public:
  explicit ProtectedGuard(const LoopGuardContext& context)
      : first_step_(context.step), frozen_(context.parameters), resting_(&context.optimizer) {}

  void BeforeUpdate(int64_t step) override { resting_.Look(ProtectedCheck::Looks(step - first_step_)); }
  std::optional<Finding> AfterUpdate(const StepRecord& record) override {
    if (const auto found = frozen_.AfterUpdate(record.step - first_step_, record.step)) return Finding{*found};
    if (record.skipped || resting_.moved().empty()) return std::nullopt;
    return Finding{MovedAtRest(resting_.moved(), record.step)};
  }

 private:
  int64_t first_step_;
  ProtectedCheck frozen_;
  optim::RestingWatch resting_;
};

const RegisterLoopGuard guard({"G43", "protected", GuardLevel::kError, ExitCode::kNumerics,
                               [](const auto& context) { return std::make_unique<ProtectedGuard>(context); }});

}  // namespace
}  // namespace lanthorn::train
