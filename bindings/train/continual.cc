// What keeps earlier tasks, and what was meant to, in Lua: elastic weight consolidation and the sleep of GodelAI.
#include "bindings/lua/json.h"
#include "bindings/lua/typed.h"
#include "bindings/nn/module.h"
#include "bindings/train/trainer.h"
#include "engine/train/continual/ewc.h"
#include "engine/train/continual/sleep.h"

namespace lanthorn::lua {
namespace {

nlohmann::json SleepWeights(nn::Module& model, const train::SleepOptions& options) {
  const train::SleepReport report = train::Sleep(model.Parameters(), options);
  const double reached = static_cast<double>(std::max<int64_t>(1, report.weights));
  return {{"weights", report.weights},
          {"pruned", report.pruned},
          {"pruned_pct", 100 * static_cast<double>(report.pruned) / reached},
          {"norm_before", report.norm_before},
          {"norm_after", report.norm_after}};
}

absl::Status SetEwc(LuaTrainer& self, const train::EwcOptions& options) {
  LANTHORN_ASSIGN_OR_RETURN(self.ewc, train::Ewc::Make(options));
  return self.trainer->SetPenalty(self.ewc);
}

train::Ewc& EwcOf(LuaTrainer& self, const char* who) {
  if (self.ewc != nullptr) return *self.ewc;
  throw UsageError(std::string(who) + ": this training has no elastic weight consolidation; call ewc() first");
}

struct ConsolidateOptions {
  std::string fisher = "batch";
};
template <typename Visit>
void Fields(Visit&& visit, ConsolidateOptions& options) {
  visit({"fisher", "squares of the gradients of batches, or of samples", {}, {"batch", "sample"}}, options.fisher);
}

absl::StatusOr<nlohmann::json> Consolidate(LuaTrainer& self, int64_t first, int64_t batches,
                                           const ConsolidateOptions& options) {
  train::Ewc& ewc = EwcOf(self, "consolidate");
  const auto of = options.fisher == "sample" ? train::FisherOf::kSample : train::FisherOf::kBatch;
  LANTHORN_ASSIGN_OR_RETURN(const std::vector<at::Tensor> fisher, self.trainer->FisherOver(first, batches, of));
  LANTHORN_ASSIGN_OR_RETURN(const train::AnchorReport report,
                            ewc.AddAnchor(self.trainer->model().Parameters(), fisher));
  return nlohmann::json{{"fisher_largest", report.largest},
                        {"fisher_sum", report.sum},
                        {"dead_pct", 100 * report.dead},
                        {"strength", report.strength},
                        {"tasks", ewc.tasks()}};
}

nlohmann::json EwcCounts(LuaTrainer& self) {
  const train::Ewc& ewc = EwcOf(self, "ewc_counts");
  const train::Ewc::Counts& counts = ewc.counts();
  return {{"updates", counts.updates},
          {"with_gradient", counts.with_gradient},
          {"penalty", counts.last},
          {"distance", ewc.Distance(self.trainer->model().Parameters())}};
}

const std::vector<FunctionRow> kFunctions = {
    {"sleep_weights", "model",
     "The published sleep, once: weights up to `prune` standard deviations of their tensor become 0, all are "
     "multiplied "
     "by `decay`, and noise is added. Gives {weights=, pruned=, pruned_pct=, norm_before=, norm_after=}.",
     Typed<&SleepWeights>},
};
const std::vector<FunctionRow> kMethods = {
    {"Trainer:ewc", "",
     "The objective gets a term of elastic weight consolidation; nothing is held before consolidate.", Typed<&SetEwc>},
    {"Trainer:consolidate", "first, batches",
     "Holds the weights near where they are, each by its importance for `batches` train batches from `first` (0-based) "
     "on. Gives {fisher_largest=, fisher_sum=, dead_pct=, strength=, tasks=}.",
     Typed<&Consolidate>},
    {"Trainer:ewc_counts", "",
     "What the penalty did: {updates=, with_gradient=, penalty=, distance=}; penalty is that of the last update, "
     "distance that of the weights from the newest anchor.",
     Typed<&EwcCounts>},
};

}  // namespace

void RegisterSleep(lua_State* L) { RegisterRows(L, "train", kFunctions); }
void RegisterContinual(lua_State* L) { RegisterRows(L, "train", kMethods); }

}  // namespace lanthorn::lua
