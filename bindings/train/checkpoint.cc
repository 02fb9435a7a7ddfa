// Checkpoints in Lua: a trainer that saves and goes on, and the checkpoints of a run as they lie on the disk.
#include "bindings/lua/function.h"
#include "bindings/lua/json.h"
#include "bindings/ops/function_call.h"
#include "bindings/train/run.h"
#include "bindings/train/trainer.h"
#include "engine/base/files.h"
#include "engine/run/checkpoint_store.h"

namespace lanthorn::lua {
namespace {

using nlohmann::json;

std::shared_ptr<LuaTrainer> Self(lua_State* L, const char* method) {
  auto self = CheckObject<LuaTrainer>(L, 1, method);
  self->L = L;
  return self;
}

// The store of a run directory, with the run's id from its manifest.
CheckpointStore StoreOf(const std::string& path) {
  const json manifest = json::parse(Value(ReadFile(path + "/manifest.json")), nullptr, /*allow_exceptions=*/false);
  const auto id = manifest.is_object() ? manifest.find("run_id") : manifest.end();
  if (id == manifest.end() || !id->is_string())
    Check(DataError(absl::StrCat("'", path, "/manifest.json': is not the manifest of a run")));
  return CheckpointStore(path, id->get<std::string>());
}

// What the Lua side keeps: the table that its function returns.
absl::StatusOr<json> CallExtra(LuaTrainer* self) {
  lua_State* L = self->L;
  const int top = lua_gettop(L);
  self->extra.Push(L);
  const absl::Status status = CallLua(L, 0, 1);
  json extra;
  if (status.ok()) extra = ReadJson(L, top + 1);
  lua_settop(L, top);
  if (!status.ok()) return status;
  return extra;
}

int SaveTo(lua_State* L) {
  static const NamedSignature signature = ParseSignature(
      "save_to(int every_steps=0, float every_s=600., int every_epochs=1, int keep_last=2, int keep_every=0)");
  const auto self = Self(L, "save_to");
  const auto run = CheckObject<RunDirectory>(L, 2, "save_to");
  luaL_checktype(L, 4, LUA_TFUNCTION);
  lua_settop(L, 4);
  self->extra = Ref(L);  // pops the function
  lua_remove(L, 2);
  const std::vector<c10::IValue> a = ReadCall(L, 2, signature, "train.");
  train::CheckpointOptions options;
  options.every_steps = a[0].toInt();
  options.every_s = a[1].toDouble();
  options.every_epochs = a[2].toInt();
  options.retention = {a[3].toInt(), a[4].toInt()};
  if (options.every_steps < 0 || options.every_epochs < 0 || !(options.every_s >= 0) || options.retention.every < 0)
    Check(ConfigError("checkpoint: every.steps, every.seconds, every.epochs and keep_every must not be negative"));
  if (options.retention.last < 1)
    Check(ConfigError(absl::StrCat("checkpoint: keep_last must be at least 1, got ", options.retention.last)));
  LuaTrainer* owner = self.get();
  options.warn = [owner, run](const std::string& text) {
    if (owner->progress != nullptr) owner->progress->Clear();
    WriteError(text + "\n");
    run->AppendLog(text + "\n");
  };
  self->trainer->SaveTo(run, std::move(options), [owner] { return CallExtra(owner); });
  return 0;
}

int Restore(lua_State* L) {
  const auto self = Self(L, "restore");
  const std::string path = luaL_checkstring(L, 2);
  const std::string name = luaL_optstring(L, 3, "");
  const train::Restored restored = Value(self->trainer->Restore(StoreOf(path), name));
  PushJson(L, {{"checkpoint", restored.checkpoint},
               {"step", restored.step},
               {"passed_over", restored.passed_over},
               {"set_aside", restored.set_aside},
               {"note", restored.note},
               {"extra", restored.extra}});
  return 1;
}

int Finished(lua_State* L) {
  const auto self = Self(L, "finished");
  train::Restored restored;
  PushFit(L, Value(self->trainer->RestoreFinished(StoreOf(luaL_checkstring(L, 2)), &restored)));
  PushJson(L, restored.extra);
  return 2;
}

int List(lua_State* L) {
  const CheckpointStore store = StoreOf(luaL_checkstring(L, 1));
  json list = json::array();
  for (const std::string& name : store.List()) {
    const auto manifest = store.Verify(name);
    list.push_back({{"name", name},
                    {"step", *CheckpointStep(name)},
                    {"bytes", store.Bytes(name)},
                    {"problem", manifest.ok() ? json() : json(MessageOf(manifest.status()))},
                    {"created", manifest.ok() ? manifest->value("created", json()) : json()}});
  }
  PushJson(L, {{"checkpoints", list},
               {"latest", store.Linked("latest")},
               {"best", store.Linked("best")},
               {"leftovers", store.Leftovers()},
               {"void", store.Void()}});
  return 1;
}

int LinkTo(lua_State* L) {
  CheckpointStore store = StoreOf(luaL_checkstring(L, 1));
  const std::string link = luaL_checkstring(L, 2);
  if (link != "latest" && link != "best") throw UsageError("link: a checkpoint is linked as 'latest' or 'best'");
  Check(store.Link(link, luaL_checkstring(L, 3)));
  return 0;
}

int Prune(lua_State* L) {
  CheckpointStore store = StoreOf(luaL_checkstring(L, 1));
  json removed = store.RemoveLeftovers();
  for (const std::string& name : store.RemoveVoid()) removed.push_back(name);
  for (const std::string& name : store.RemoveDamaged()) removed.push_back(name);
  for (const std::string& name : store.Retain({luaL_checkinteger(L, 2), luaL_checkinteger(L, 3)}))
    removed.push_back(name);
  PushJson(L, removed);
  return 1;
}

const std::vector<FunctionRow> kFunctions = {
    {"list", "(str run_folder) -> table",
     "All checkpoints of a run, verified: {checkpoints= {name=, step=, bytes=, problem=, created=}, latest=, best=, "
     "leftovers=, void=}.",
     &Thunk<&List>},
    {"link", "(str run_folder, str link, str name) -> ()", "Points 'latest' or 'best' at a checkpoint.",
     &Thunk<&LinkTo>},
    {"prune", "(str run_folder, int keep_last, int keep_every) -> str[]",
     "Removes leftovers, checkpoints set aside or damaged, and those that the rule does not keep; gives their names.",
     &Thunk<&Prune>},
};
const std::vector<FunctionRow> kMethods = {
    {"Trainer:save_to", "(Run run, table every_and_keep, function extra) -> ()",
     "Saves checkpoints of the run from now on, with what extra() returns.", &Thunk<&SaveTo>},
    {"Trainer:restore", "(str run_folder, str? name=None) -> table",
     "Goes on from the newest checkpoint that verifies, or the named one: {checkpoint=, step=, passed_over=, "
     "set_aside=, "
     "note=, extra=}.",
     &Thunk<&Restore>},
    {"Trainer:finished", "(str run_folder) -> table, table?",
     "Loads the end of a finished run; gives what its run() gave, and what extra() kept.", &Thunk<&Finished>},
};

}  // namespace

void AddCheckpointMethods(lua_State* L) { RegisterRows(L, "train", kMethods); }

void OpenCheckpoints(lua_State* L) {
  lua_newtable(L);
  RegisterRows(L, "checkpoints", kFunctions);
  lua_setfield(L, -2, "checkpoints");
}

}  // namespace lanthorn::lua
