// Training that predicts some of its updates, in Lua.
#include "engine/train/hybrid/hybrid.h"

#include "bindings/lua/json.h"
#include "bindings/lua/typed.h"
#include "bindings/train/trainer.h"

namespace lanthorn::lua {
namespace {

absl::Status SetHybrid(LuaTrainer& self, const train::HybridOptions& options) {
  return self.trainer->SetHybrid(options);
}

nlohmann::json Counts(LuaTrainer& self) {
  const train::Hybrid* hybrid = self.trainer->hybrid();
  if (hybrid == nullptr) throw UsageError("hybrid_counts: this training predicts nothing; call hybrid() first");
  const train::Hybrid::Counts counts = hybrid->counts();
  nlohmann::json steps;
  for (size_t i = 0; i < counts.steps.size(); ++i) steps[train::kHybridPhaseNames[i]] = counts.steps[i];
  nlohmann::json found = {
      {"blocks", counts.blocks}, {"rejected", counts.rejected}, {"restored", counts.restored}, {"steps", steps}};
  if (counts.forecast) {
    found["forecast"] = {{"steps", counts.forecast->count},
                         {"mean_error", counts.forecast->forecast},
                         {"last_value_error", counts.forecast->last}};
  }
  return found;
}

const std::vector<FunctionRow> kMethods = {
    {"Trainer:hybrid", "",
     "From the next step on some updates are predicted in place of computed: warm-up, full blocks, predicted blocks, "
     "and corrections, which look at a probe batch first and put the weights back where the block made them worse.",
     Typed<&SetHybrid>},
    {"Trainer:hybrid_counts", "",
     "What it did: {blocks=, rejected=, restored=, steps=}; restored ones are those that a critical alarm undid, steps "
     "those of each phase. With the option forecast also forecast={steps=, mean_error=, last_value_error=}: mean "
     "absolute errors of the loss forecast, and of the loss before taken for one.",
     Typed<&Counts>},
};

}  // namespace

void RegisterHybrid(lua_State* L) { RegisterRows(L, "train", kMethods); }

}  // namespace lanthorn::lua
