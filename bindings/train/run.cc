#include "bindings/train/run.h"

#include "bindings/lua/json.h"
#include "bindings/lua/typed.h"
#include "bindings/train/event_file.h"
#include "engine/base/files/files.h"
#include "engine/run/process/attempt.h"
#include "engine/run/process/stack_dump.h"
#include "engine/run/run_check.h"
#include "engine/train/signals.h"

namespace lanthorn::lua {
namespace {

using nlohmann::json;

std::shared_ptr<RunDirectory> Claim(const std::string& results_root, const std::string& experiment) {
  return Value(RunDirectory::Claim(results_root, experiment));
}

std::shared_ptr<RunDirectory> Reopen(const std::string& run_folder) { return Value(RunDirectory::Reopen(run_folder)); }

std::tuple<std::optional<int64_t>, std::optional<std::string>> OwnerOf(const std::string& run_folder) {
  if (const auto owner = OwnerOfRun(run_folder)) return {owner->pid, owner->host};
  return {};
}

absl::Status Finish(RunDirectory& run, const json& fields) {
  RunEnd end;
  end.state = fields.value("state", "FINISHED");
  end.code = fields.value("code", 0);
  end.reason = fields.value("reason", "");
  if (fields.contains("signal")) end.signal = fields["signal"].get<int>();
  if (fields.contains("guards") && fields["guards"].is_array()) end.guards = fields["guards"];
  if (fields.contains("summary")) end.summary = fields["summary"];
  return run.Finish(end);
}

std::string WriteTensorBoard(RunDirectory& run) { return Value(AttachTensorBoard(&run)); }

void PrintStacks() {
  SetStackDumpNotice(&train::NoteSignal);
  InstallStackDump();
}

const std::vector<FunctionRow> kFunctions = {
    {"claim", "results_root, experiment", "Takes a new run directory; its format is described in engine/run/README.md.",
     Typed<&Claim>},
    {"print_stacks", "",
     "From here on SIGQUIT prints the stacks of all threads and of Lua into the open run, or to stderr.",
     Typed<&PrintStacks>},
    {"reopen", "run_folder", "Takes the next attempt of a run that has ended or died.", Typed<&Reopen>},
    {"owner", "run_folder", "The live process that works on a run, and its host; nothing when there is none.",
     Typed<&OwnerOf>},
    {"check", "run_folder", "What is wrong with the files of a run, checkpoints apart.", Typed<&CheckRunFiles>},
};
const std::vector<FunctionRow> kMethods = {
    {"Run:path", "", "The folder.", Typed<&RunDirectory::path>},
    {"Run:attempt", "", "The number of this attempt to work on the run, from 1.", Typed<&RunDirectory::attempt>},
    {"Run:id", "", "The run's id.", Typed<&RunDirectory::id>},
    {"Run:write_config", "values, origin", "Writes config.json; gives its hash.", Typed<&RunDirectory::WriteConfig>},
    {"Run:add_source", "name, contents", "Keeps a source file under src/.", Typed<&RunDirectory::AddSource>},
    {"Run:write_manifest", "fields", "Writes manifest.json, after config and sources.",
     Typed<&RunDirectory::WriteManifest>},
    {"Run:append_log", "text", "Appends to stdout.log.", Typed<&RunDirectory::AppendLog>},
    {"Run:log", "fields", "Appends a line to metrics.jsonl; names end in a unit.", Typed<&RunDirectory::LogMetrics>},
    {"Run:write_tensorboard", "",
     "Writes the numbers of each further metrics line into a TensorBoard event file of the run directory; gives its "
     "path.",
     Typed<&WriteTensorBoard>},
    {"Run:status", "fields", "Merges fields into status.json.", Typed<&RunDirectory::UpdateStatus>},
    {"Run:finish", "fields", "Writes exit.json and ends the heartbeat.", Typed<&Finish>},
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
