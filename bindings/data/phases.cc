// Phases of batches and what is replayed of earlier ones, in Lua.
#include "engine/data/phases.h"

#include "absl/strings/str_cat.h"
#include "bindings/data/data.h"
#include "bindings/lua/json.h"
#include "bindings/lua/typed.h"
#include "engine/data/replay.h"

namespace lanthorn::lua {
namespace {

using data::Batches, data::PhaseBatches;

struct PhasesOptions {
  bool interleaved = false;
};
template <typename Visit>
void Fields(Visit&& visit, PhasesOptions& options) {
  visit({"interleaved", "phases take turns batch by batch"}, options.interleaved);
}

std::shared_ptr<Batches> FromPhases(const std::vector<std::shared_ptr<Batches>>& passes,
                                    const std::vector<int64_t>& domains, const PhasesOptions& options) {
  if (domains.empty() || passes.empty() || passes.size() % domains.size() != 0) {
    throw UsageError(absl::StrCat("from_phases: ", passes.size(), " batches are not as many passes for each of ",
                                  domains.size(), " phases"));
  }
  const size_t each = passes.size() / domains.size();
  std::vector<data::Phase> phases;
  for (size_t i = 0; i < domains.size(); ++i) {
    data::Phase phase{domains[i] - 1, {}};
    for (size_t pass = 0; pass < each; ++pass) phase.passes.push_back(passes[i * each + pass]);
    phases.push_back(std::move(phase));
  }
  return std::make_shared<PhaseBatches>(std::move(phases), options.interleaved);
}

std::shared_ptr<Batches> Joined(const std::vector<std::shared_ptr<Batches>>& parts) {
  if (parts.empty()) throw UsageError("joined: no batches were given");
  return std::make_shared<data::JoinedBatches>(parts);
}

std::shared_ptr<PhaseBatches> AsPhases(const std::shared_ptr<Batches>& batches, const char* who) {
  if (auto phases = std::dynamic_pointer_cast<PhaseBatches>(batches)) return phases;
  throw UsageError(absl::StrCat(who, ": expected the train batches of data with phases (data.domains, data.tasks)"));
}

std::vector<nlohmann::json> PhasesOf(const std::shared_ptr<Batches>& batches) {
  return PhaseList(*AsPhases(batches, "phases_of"));
}

std::shared_ptr<Batches> Replay(const std::shared_ptr<Batches>& batches, const data::ReplayOptions& options) {
  return Value(data::ReplayBatches::Make(AsPhases(batches, "replay"), options));
}

const std::vector<FunctionRow> kFunctions = {
    {"from_phases", "passes, domains",
     "Batches of phases one after the other, or taking turns: as many `passes` for each phase, those of the first "
     "phase first; `domains` has a number for each phase, from 1.",
     Typed<&FromPhases>},
    {"joined", "parts", "Batches of all parts, taking turns until each is at its end.", Typed<&Joined>},
    {"phases_of", "batches",
     "For each phase {end_batch=, passes=, domain=}: the number of batches up to its end, and up to that of each pass; "
     "phases that take turns are one without a domain.",
     Typed<&PhasesOf>},
    {"replay", "batches",
     "The same batches with rows of earlier phases beside the new ones, or in place of half of them. What is kept and "
     "drawn depends on the seed and the number of the batch alone.",
     Typed<&Replay>},
};

}  // namespace

std::vector<nlohmann::json> PhaseList(const PhaseBatches& batches) {
  std::vector<nlohmann::json> list;
  for (const std::vector<int64_t>& ends : batches.PassEnds()) {
    list.push_back({{"end_batch", ends.back()}, {"passes", ends}});
    if (!batches.interleaved()) list.back()["domain"] = batches.phases()[list.size() - 1].domain + 1;
  }
  return list;
}

void RegisterPhases(lua_State* L) { RegisterRows(L, "data", kFunctions); }

}  // namespace lanthorn::lua
