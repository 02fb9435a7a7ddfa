// Checkpoints in Lua: a trainer that saves and goes on, and the checkpoints of a run as they lie on the disk.
#include "absl/strings/str_cat.h"
#include "bindings/lua/running.h"
#include "bindings/lua/typed.h"
#include "bindings/train/records.h"
#include "bindings/train/run.h"
#include "bindings/train/trainer.h"
#include "engine/base/files/files.h"
#include "engine/run/checkpoint_store.h"

namespace lanthorn::lua {
namespace {

using nlohmann::json;

// The store of a run directory, with the run's id from its manifest.
CheckpointStore StoreOf(const std::string& path) {
  const json manifest = json::parse(Value(ReadFile(path + "/manifest.json")), nullptr, /*allow_exceptions=*/false);
  const auto id = manifest.is_object() ? manifest.find("run_id") : manifest.end();
  if (id == manifest.end() || !id->is_string())
    Check(DataError(absl::StrCat("'", path, "/manifest.json': is not the manifest of a run")));
  return CheckpointStore(path, id->get<std::string>());
}

// What the Lua side keeps: the table that its function returns.
absl::StatusOr<json> CallExtra(const LuaTrainer& owner) {
  lua_State* L = RunningState();
  const int top = lua_gettop(L);
  owner.extra.Push(L);
  const absl::Status status = CallLua(L, 0, 1);
  json extra;
  if (status.ok()) extra = ReadJson(L, top + 1);
  lua_settop(L, top);
  if (!status.ok()) return status;
  return extra;
}

absl::Status SaveTo(LuaTrainer& self, std::shared_ptr<RunDirectory> run, LuaFunction extra,
                    train::CheckpointOptions options) {
  self.extra = std::move(extra.ref);
  LuaTrainer* owner = &self;
  options.warn = [owner, run](const std::string& text) {
    owner->ClearProgress();
    WriteError(text + "\n");
    run->AppendLog(text + "\n");
  };
  self.trainer->SaveTo(run, std::move(options), [owner] { return CallExtra(*owner); });
  return absl::OkStatus();
}

absl::StatusOr<train::Restored> Restore(LuaTrainer& self, const std::string& run_folder,
                                        std::optional<std::string> name) {
  return self.trainer->Restore(StoreOf(run_folder), name.value_or(""));
}

absl::Status SaveNow(LuaTrainer& self) { return self.trainer->SaveNow(); }

absl::StatusOr<train::Restored> GoBack(LuaTrainer& self, std::optional<std::string> name) {
  return self.trainer->GoBack(name.value_or(""));
}

std::tuple<train::FitResult, json> Finished(LuaTrainer& self, const std::string& run_folder) {
  train::Restored restored;
  train::FitResult result = Value(self.trainer->RestoreFinished(StoreOf(run_folder), &restored));
  return {std::move(result), std::move(restored.extra)};
}

json List(const std::string& run_folder, std::optional<int64_t> keep_last, int64_t keep_every) {
  CheckpointStore store = StoreOf(run_folder);
  json list = json::array();
  for (const std::string& name : store.List()) {
    const auto manifest = store.Verify(name);
    list.push_back({{"name", name},
                    {"step", *CheckpointStep(name)},
                    {"bytes", store.Bytes(name)},
                    {"problem", manifest.ok() ? json() : json(MessageOf(manifest.status()))},
                    {"created", manifest.ok() ? manifest->value("created", json()) : json()}});
  }
  json all = {{"checkpoints", list},
              {"latest", store.Linked("latest")},
              {"best", store.Linked("best")},
              {"leftovers", store.Leftovers()},
              {"void", store.Void()}};
  if (keep_last) all["superfluous"] = store.Superfluous({*keep_last, keep_every});
  return all;
}

absl::Status LinkTo(const std::string& run_folder, const std::string& link, const std::string& name) {
  if (link != "latest" && link != "best") throw UsageError("link: a checkpoint is linked as 'latest' or 'best'");
  return StoreOf(run_folder).Link(link, name);
}

std::vector<std::string> Prune(const std::string& run_folder, int64_t keep_last, int64_t keep_every) {
  CheckpointStore store = StoreOf(run_folder);
  std::vector<std::string> removed = store.RemoveLeftovers();
  for (const auto& names : {store.RemoveVoid(), store.RemoveDamaged(), store.Retain({keep_last, keep_every})})
    removed.insert(removed.end(), names.begin(), names.end());
  return removed;
}

const std::vector<FunctionRow> kFunctions = {
    {"list", "run_folder, keep_last, keep_every=0",
     "All checkpoints of a run, verified: {checkpoints= {name=, step=, bytes=, problem=, created=}, latest=, best=, "
     "leftovers=, void=}, and with a rule superfluous=, those that it does not keep.",
     Typed<&List>},
    {"link", "run_folder, link, name", "Points 'latest' or 'best' at a checkpoint.", Typed<&LinkTo>},
    {"prune", "run_folder, keep_last, keep_every",
     "Removes leftovers, checkpoints set aside or damaged, and those that the rule does not keep; gives their names.",
     Typed<&Prune>},
};
const std::vector<FunctionRow> kMethods = {
    {"Trainer:save_to", "run, extra", "Saves checkpoints of the run from now on, with what extra() returns.",
     Typed<&SaveTo>},
    {"Trainer:restore", "run_folder, name",
     "Goes on from the newest checkpoint that verifies, or the named one: {checkpoint=, step=, passed_over=, "
     "set_aside=, note=, extra=}.",
     Typed<&Restore>},
    {"Trainer:save_now", "", "A checkpoint of the training as it is.", Typed<&SaveNow>},
    {"Trainer:go_back", "name",
     "Goes back to the newest checkpoint, or the named one, in the middle of a training; gives what restore() gives.",
     Typed<&GoBack>},
    {"Trainer:finished", "run_folder",
     "Loads the end of a finished run; gives what its run() gave, and what extra() kept.", Typed<&Finished>},
};

}  // namespace

void RegisterSaving(lua_State* L) { RegisterRows(L, "train", kMethods); }

void OpenCheckpoints(lua_State* L) {
  lua_newtable(L);
  RegisterRows(L, "checkpoints", kFunctions);
  lua_setfield(L, -2, "checkpoints");
}

}  // namespace lanthorn::lua
