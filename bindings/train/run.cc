#include "bindings/train/run.h"

#include "bindings/lua/function.h"
#include "bindings/lua/json.h"
#include "bindings/train/event_file.h"
#include "engine/base/files.h"
#include "engine/run/attempt.h"
#include "engine/run/run_check.h"
#include "engine/run/stack_dump.h"
#include "engine/train/signals.h"

namespace lanthorn::lua {
namespace {

std::shared_ptr<RunDirectory> Self(lua_State* L, const char* method) { return CheckObject<RunDirectory>(L, 1, method); }

int Claim(lua_State* L) {
  std::shared_ptr<RunDirectory> run = Value(RunDirectory::Claim(luaL_checkstring(L, 1), luaL_checkstring(L, 2)));
  PushObject(L, run);
  return 1;
}

int Reopen(lua_State* L) {
  std::shared_ptr<RunDirectory> run = Value(RunDirectory::Reopen(luaL_checkstring(L, 1)));
  PushObject(L, run);
  return 1;
}

int OwnerPid(lua_State* L) {
  const auto owner = OwnerOfRun(luaL_checkstring(L, 1));
  if (!owner) return 0;
  lua_pushnumber(L, static_cast<double>(owner->pid));
  lua_pushstring(L, owner->host.c_str());
  return 2;
}

int HashSources(lua_State* L) {
  std::map<std::string, std::string> sources;
  luaL_checktype(L, 1, LUA_TTABLE);
  for (lua_pushnil(L); lua_next(L, 1) != 0; lua_pop(L, 1)) {
    size_t length = 0;
    const char* text = luaL_checklstring(L, -1, &length);
    if (lua_type(L, -2) != LUA_TSTRING) throw UsageError("hash_sources: expected a table from names to texts");
    sources[lua_tostring(L, -2)] = Sha256Hex({text, length});
  }
  lua_pushstring(L, SourceHashOf(sources).c_str());
  return 1;
}

int CheckFiles(lua_State* L) {
  PushJson(L, CheckRunFiles(luaL_checkstring(L, 1)));
  return 1;
}

int Attempt(lua_State* L) {
  lua_pushinteger(L, Self(L, "attempt")->attempt());
  return 1;
}

int Path(lua_State* L) {
  lua_pushstring(L, Self(L, "path")->path().c_str());
  return 1;
}

int Id(lua_State* L) {
  lua_pushstring(L, Self(L, "id")->id().c_str());
  return 1;
}

int WriteConfig(lua_State* L) {
  const std::string hash = Value(Self(L, "write_config")->WriteConfig(ReadJson(L, 2), ReadJson(L, 3)));
  lua_pushstring(L, hash.c_str());
  return 1;
}

int AddSource(lua_State* L) {
  size_t length = 0;
  const char* contents = luaL_checklstring(L, 3, &length);
  Check(Self(L, "add_source")->AddSource(luaL_checkstring(L, 2), std::string(contents, length)));
  return 0;
}

int WriteManifest(lua_State* L) {
  Check(Self(L, "write_manifest")->WriteManifest(ReadJson(L, 2)));
  return 0;
}

int AppendLog(lua_State* L) {
  size_t length = 0;
  const char* text = luaL_checklstring(L, 2, &length);
  Self(L, "append_log")->AppendLog(std::string(text, length));
  return 0;
}

int Log(lua_State* L) {
  Check(Self(L, "log")->LogMetrics(ReadJson(L, 2)));
  return 0;
}

int WriteTensorBoard(lua_State* L) {
  const std::string path = Value(AttachTensorBoard(Self(L, "write_tensorboard").get()));
  lua_pushstring(L, path.c_str());
  return 1;
}

int Status(lua_State* L) {
  Check(Self(L, "status")->UpdateStatus(ReadJson(L, 2)));
  return 0;
}

int Finish(lua_State* L) {
  const auto run = Self(L, "finish");
  const nlohmann::json given = ReadJson(L, 2);
  RunEnd end;
  end.state = given.value("state", "FINISHED");
  end.code = given.value("code", 0);
  end.reason = given.value("reason", "");
  if (given.contains("signal")) end.signal = given["signal"].get<int>();
  if (given.contains("guards") && given["guards"].is_array()) end.guards = given["guards"];
  if (given.contains("summary")) end.summary = given["summary"];
  Check(run->Finish(end));
  return 0;
}

int PrintStacks(lua_State*) {
  SetStackDumpNotice(&train::NoteSignal);
  InstallStackDump();
  return 0;
}

const std::vector<FunctionRow> kFunctions = {
    {"claim", "(str results_root, str experiment) -> Run",
     "Takes a new run directory; its format is described in engine/run/README.md.", &Thunk<&Claim>},
    {"print_stacks", "() -> ()",
     "From here on SIGQUIT prints the stacks of all threads and of Lua into the open run, or to stderr.",
     &Thunk<&PrintStacks>},
    {"reopen", "(str run_folder) -> Run", "Takes the next attempt of a run that has ended or died.", &Thunk<&Reopen>},
    {"owner", "(str run_folder) -> (int?, str?)",
     "The live process that works on a run, and its host; nothing when there is none.", &Thunk<&OwnerPid>},
    {"check", "(str run_folder) -> str[]", "What is wrong with the files of a run, checkpoints apart.",
     &Thunk<&CheckFiles>},
    {"hash_sources", "(table sources) -> str", "The source hash of files given as name -> text.",
     &Thunk<&HashSources>}};
const std::vector<FunctionRow> kMethods = {
    {"Run:path", "() -> str", "The folder.", &Thunk<&Path>},
    {"Run:attempt", "() -> int", "The number of this attempt to work on the run, from 1.", &Thunk<&Attempt>},
    {"Run:id", "() -> str", "The run's id.", &Thunk<&Id>},
    {"Run:write_config", "(table values, table origin) -> str", "Writes config.json; gives its hash.",
     &Thunk<&WriteConfig>},
    {"Run:add_source", "(str name, str contents) -> ()", "Keeps a source file under src/.", &Thunk<&AddSource>},
    {"Run:write_manifest", "(table fields) -> ()", "Writes manifest.json, after config and sources.",
     &Thunk<&WriteManifest>},
    {"Run:append_log", "(str text) -> ()", "Appends to stdout.log.", &Thunk<&AppendLog>},
    {"Run:log", "(table fields) -> ()", "Appends a line to metrics.jsonl; names end in a unit.", &Thunk<&Log>},
    {"Run:write_tensorboard", "() -> str",
     "Writes the numbers of each further metrics line into a TensorBoard event file of the run directory; gives its "
     "path.",
     &Thunk<&WriteTensorBoard>},
    {"Run:status", "(table fields) -> ()", "Merges fields into status.json.", &Thunk<&Status>},
    {"Run:finish", "(table fields) -> ()", "Writes exit.json and ends the heartbeat.", &Thunk<&Finish>},
};

}  // namespace

void OpenRun(lua_State* L) {
  lua_newtable(L);
  RegisterRows(L, "run", kFunctions);
  DefineType<RunDirectory>(L);
  RegisterRows(L, "run", kMethods);
  lua_pop(L, 1);
  OpenEventFile(L);
  lua_setfield(L, -2, "run");
}

}  // namespace lanthorn::lua
