// Files of a run directory, read and closed by the rules of engine/run, without LibTorch: for the watchdog, and for
// reports that begin at once.
#include <new>
#include <string>
#include <utility>

#include "bindings/runner/host.h"
#include "engine/base/files/files.h"
#include "engine/base/text/utf8.h"
#include "engine/run/exit_file.h"
#include "engine/run/metrics/metrics_reader.h"
#include "engine/run/process/progress_file.h"

namespace lanthorn::runner {
namespace {

constexpr char kLines[] = "host.MetricsLines";

int CollectLines(lua_State* L) {
  static_cast<MetricsLines*>(lua_touserdata(L, 1))->~MetricsLines();
  return 0;
}

// upvalue 1: the lines.
int NextLine(lua_State* L) {
  const auto line = static_cast<MetricsLines*>(lua_touserdata(L, lua_upvalueindex(1)))->Next();
  if (!line) return 0;
  lua_pushlstring(L, line->text.data(), line->text.size());
  lua_pushnumber(L, static_cast<double>(line->number));
  lua_pushboolean(L, line->torn);
  return 3;
}

// metrics_lines(path): a function that gives the next line of a metrics.jsonl that counts (engine/run/README.md), its
// number and whether it may be cut short; nil at the end. Or nil, message.
int OpenLines(lua_State* L) {
  auto lines = MetricsLines::Open(luaL_checkstring(L, 1));
  if (!lines.ok()) return PushFailure(L, lines.status());
  new (lua_newuserdata(L, sizeof(MetricsLines))) MetricsLines(*std::move(lines));
  if (luaL_newmetatable(L, kLines)) {
    lua_pushcfunction(L, CollectLines);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  lua_pushcclosure(L, NextLine, 1);
  return 1;
}

// read_progress(path): what .progress of a run directory says (ProgressState), or nil, message.
int Progress(lua_State* L) {
  const auto state = ReadProgress(luaL_checkstring(L, 1));
  if (!state.ok()) return PushFailure(L, state.status());
  lua_newtable(L);
  const auto set = [L](const char* name, double value) {
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
  };
  set("pid", static_cast<double>(state->pid));
  set("counter", static_cast<double>(state->counter));
  set("step", static_cast<double>(state->step));
  set("done", static_cast<double>(state->done));
  set("of", static_cast<double>(state->of));
  set("steps", static_cast<double>(state->steps));
  set("time_s", state->time_s);
  set("slowest_step_s", state->slowest_step_s);
  set("slowest_eval_s", state->slowest_eval_s);
  set("slowest_save_s", state->slowest_save_s);
  lua_pushstring(L, state->phase.c_str());
  lua_setfield(L, -2, "phase");
  return 1;
}

// JSON is UTF-8; names of files and texts of a script may hold any bytes.
std::string WithoutBrokenUtf8(const std::string& text) {
  std::string made;
  for (size_t at = 0; at < text.size();) {
    char32_t point = 0;
    const size_t from = at;
    if (ReadPoint(text.data(), text.size(), &at, &point) != Utf8::kPoint) {
      point = 0xfffd;
      at = from + 1;
    }
    AppendPoint(point, &made);
  }
  return made;
}

// close_run(folder, fields): writes exit.json, with these fields as JSON text, for a run whose process cannot; true, or
// nil, message.
int Close(lua_State* L) {
  const auto fields =
      nlohmann::json::parse(WithoutBrokenUtf8(luaL_checkstring(L, 2)), nullptr, /*allow_exceptions=*/false);
  if (!fields.is_object()) return PushFailure(L, absl::InvalidArgumentError("the fields are not a JSON object"));
  return PushOutcome(L, CloseRun(luaL_checkstring(L, 1), fields));
}

// utc_seconds(text): seconds since 1970 of a time such as 2026-11-21T10:15:00.123Z; nil for another text.
int UtcSeconds(lua_State* L) {
  const auto seconds = SecondsOfUtc(luaL_checkstring(L, 1));
  if (!seconds) return 0;
  lua_pushnumber(L, *seconds);
  return 1;
}

constexpr luaL_Reg kFunctions[] = {{"metrics_lines", OpenLines},
                                   {"read_progress", Progress},
                                   {"close_run", Close},
                                   {"utc_seconds", UtcSeconds},
                                   {nullptr, nullptr}};

}  // namespace

void RegisterRunFiles(lua_State* L) { luaL_register(L, nullptr, kFunctions); }

}  // namespace lanthorn::runner
