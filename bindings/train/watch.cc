// What a training tells the outside while it runs, and hears from it: signals, stacks, progress on the screen, in the
// run directory and for the watchdog.
#include "bindings/lua/json.h"
#include "bindings/lua/running.h"
#include "bindings/lua/typed.h"
#include "bindings/train/run.h"
#include "bindings/train/trainer.h"
#include "engine/run/process/stack_dump.h"
#include "engine/train/report/run_log.h"

namespace lanthorn::lua {
namespace {

struct ShowOptions {
  bool terminal = false, unicode = false, quiet = false, samples = false;
  double interval_s = 30;
};
template <typename Visit>
void Fields(Visit&& visit, ShowOptions& options) {
  visit({"terminal", "draw a bar"}, options.terminal);
  visit({"unicode", "of block characters"}, options.unicode);
  visit({"quiet", "only what the run's log gets"}, options.quiet);
  visit({"samples", "rates are of samples, not of tokens"}, options.samples);
  visit({"interval_s", "longest silence", 0}, options.interval_s);
}

int64_t LuaBytes() {
  lua_State* L = RunningState();
  return L == nullptr ? 0 : int64_t{lua_gc(L, LUA_GCCOUNT, 0)} * 1024 + lua_gc(L, LUA_GCCOUNTB, 0);
}

void ShowProgress(LuaTrainer& self, std::optional<std::shared_ptr<RunDirectory>> run, const ShowOptions& show) {
  train::ProgressOptions options = {.terminal = show.terminal,
                                    .unicode = show.unicode,
                                    .quiet = show.quiet,
                                    .interval_s = show.interval_s,
                                    .samples = show.samples,
                                    .write = &WriteError};
  if (run) {
    options.log = [run = *run](const std::string& text) { run->AppendLog(text); };
    self.trainer->AddObserver(std::make_shared<train::RunLog>(*run, self.trainer->options().tscore.samples,
                                                              train::MemoryProbe{.lua = &LuaBytes}));
  }
  self.progress = std::make_shared<train::Progress>(std::move(options));
  self.trainer->AddObserver(self.progress);
}

std::optional<std::string> Watch(LuaTrainer& self, std::optional<std::shared_ptr<RunDirectory>> run, bool signals) {
  if (signals) self.signals = std::make_unique<train::SignalScope>();
  if (!run) return std::nullopt;
  SetStackDumpFolder((*run)->path());
  auto file = ProgressFile::Create((*run)->path() + "/.progress");
  if (!file.ok()) return MessageOf(file.status());
  self.life = std::make_shared<train::RunProgress>(*std::move(file));
  self.trainer->AddObserver(self.life);
  return std::nullopt;
}

void Phase(LuaTrainer& self, const std::string& name) { self.trainer->Announce(name); }

void Tick(LuaTrainer& self) {
  if (self.life != nullptr) self.life->Tick();
}

std::optional<nlohmann::json> StopRequested(LuaTrainer& self) {
  const auto stop = self.signals != nullptr ? train::StopRequested() : std::nullopt;
  if (!stop) return std::nullopt;
  return nlohmann::json{{"state", stop->state},
                        {"name", train::SignalName(stop->signal)},
                        {"signal", stop->signal},
                        {"code", stop->code}};
}

const std::vector<FunctionRow> kMethods = {
    {"Trainer:show_progress", "run", "Reports on stderr and into the run directory.", Typed<&ShowProgress>},
    {"Trainer:clear_progress", "", "Takes the bar off the screen before something else is printed.",
     Typed<&LuaTrainer::ClearProgress>},
    {"Trainer:watch", "run, signals=True",
     "From here to close() signals ask the training to save or stop (unless signals is false) and, with a run, stacks "
     "of SIGQUIT go there and "
     ".progress tells what goes on; gives the reason where that file cannot be made.",
     Typed<&Watch>},
    {"Trainer:phase", "name", "Tells observers what goes on: load, build, train, eval, save or report.", Typed<&Phase>},
    {"Trainer:tick", "", "Shows life to the watchdog, in a callback that takes long.", Typed<&Tick>},
    {"Trainer:stop_requested", "",
     "What a signal since watch() asks for: {state=, code=, signal=, name=}; nothing without one.",
     Typed<&StopRequested>},
};

}  // namespace

void RegisterWatch(lua_State* L) { RegisterRows(L, "train", kMethods); }

}  // namespace lanthorn::lua
