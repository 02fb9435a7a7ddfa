#include "engine/train/guards/step_guards.h"

#include <algorithm>
#include <string_view>

namespace lanthorn::train {

std::vector<LoopGuardSpec>& LoopGuards() {
  static std::vector<LoopGuardSpec> guards;
  return guards;
}

RegisterLoopGuard::RegisterLoopGuard(LoopGuardSpec spec) {
  auto& guards = LoopGuards();
  const auto behind = [](const LoopGuardSpec& a, const LoopGuardSpec& b) {
    return std::string_view(a.id) < std::string_view(b.id);
  };
  guards.insert(std::upper_bound(guards.begin(), guards.end(), spec, behind), spec);
}

StepGuards::StepGuards(const LoopGuardContext& context, WarnFn warn) : warn_(std::move(warn)) {
  for (const LoopGuardSpec& spec : LoopGuards()) {
    const auto given = context.options.levels.find(spec.name);
    const GuardLevel level = given != context.options.levels.end() ? given->second : spec.level;
    if (level == GuardLevel::kOff) continue;
    if (auto guard = spec.make(context)) guards_.push_back({&spec, level, std::move(guard)});
  }
}

void StepGuards::BeforeUpdate(int64_t step) {
  for (const Active& active : guards_) active.guard->BeforeUpdate(step);
}

absl::Status StepGuards::Act(const Active& active, const std::optional<LoopGuard::Finding>& found) {
  using Does = LoopGuard::Does;
  if (!found) return absl::OkStatus();
  if (active.level == GuardLevel::kWarn || found->does == Does::kWarn) return warn_(found->warning);
  if (found->does == Does::kStop) return Error(active.spec->code, found->warning.message);
  limit_ = found->warning.message;
  return absl::OkStatus();
}

absl::Status StepGuards::AfterUpdate(const StepRecord& record) {
  for (const Active& active : guards_) LANTHORN_RETURN_IF_ERROR(Act(active, active.guard->AfterUpdate(record)));
  return absl::OkStatus();
}

absl::Status StepGuards::Finish(int64_t step) {
  for (const Active& active : guards_) LANTHORN_RETURN_IF_ERROR(Act(active, active.guard->AtEnd(step)));
  return absl::OkStatus();
}

}  // namespace lanthorn::train
