// The options that the engine declares (engine/base/options/option_row.h), for the library's specs, without LibTorch.
#include <cmath>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "bindings/runner/host.h"
#include "engine/data/domain_options.h"
#include "engine/data/replay_options.h"
#include "engine/data/text_options.h"
#include "engine/optim/select/selection_options.h"
#include "engine/train/continual/ewc_options.h"
#include "engine/train/continual/sleep_options.h"
#include "engine/train/fit_options.h"
#include "engine/train/hybrid/hybrid_options.h"

namespace lanthorn::runner {
namespace {

void Push(lua_State* L, int64_t value) { lua_pushnumber(L, static_cast<double>(value)); }
void Push(lua_State* L, double value) { lua_pushnumber(L, value); }
void Push(lua_State* L, bool value) { lua_pushboolean(L, value); }
void Push(lua_State* L, const std::string& value) { lua_pushlstring(L, value.data(), value.size()); }
template <typename T>
void Push(lua_State* L, const std::vector<T>& values) {
  lua_newtable(L);
  for (size_t i = 0; i < values.size(); ++i) {
    Push(L, values[i]);
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
}

template <typename T>
constexpr const char* TypeName() {
  if constexpr (std::is_same_v<T, bool>) return "boolean";
  if constexpr (std::is_same_v<T, int64_t>) return "int";
  if constexpr (std::is_same_v<T, double>) return "number";
  if constexpr (std::is_same_v<T, std::string> || std::is_enum_v<T>) return "string";
  if constexpr (std::is_same_v<T, std::vector<double>>) return "list";
  return "list?";  // of texts or whole numbers, which has no default: it is empty
}

// Adds a row of config/specs.lua for each option to the table on the top of the stack.
struct SpecWriter {
  lua_State* L;

  template <typename T>
  void operator()(const OptionRow& row, T& member) const {
    lua_newtable(L);
    lua_pushstring(L, TypeName<T>());
    lua_rawseti(L, -2, 1);
    if constexpr (std::is_enum_v<T>) {
      Push(L, WordOf(row, member));
      lua_rawseti(L, -2, 2);
    } else if constexpr (!std::is_same_v<T, std::vector<std::string>> && !std::is_same_v<T, std::vector<int64_t>>) {
      Push(L, member);
      lua_rawseti(L, -2, 2);
    }
    if (std::is_arithmetic_v<T> && !std::is_same_v<T, bool> && std::isfinite(row.least)) {
      lua_pushnumber(L, row.least);
      lua_setfield(L, -2, "min");
    }
    if (!row.one_of.empty()) {
      Push(L, row.one_of);
      lua_setfield(L, -2, "one_of");
    }
    lua_pushstring(L, row.meaning);
    lua_setfield(L, -2, "meaning");
    lua_setfield(L, -2, row.name);
  }
};

// option_rows(): section -> option -> its row, for all options that the engine declares; ewc, sleep, replay and
// hybrid are those of callbacks and data, no sections of a config.
int OptionRows(lua_State* L) {
  train::TrainSection train;
  train::TScoreSection tscore;
  train::EvalSection eval;
  train::ClipSection clip;
  optim::Schedule schedule;
  data::TextOptions text;
  data::DomainOptions domains;
  optim::SelectionOptions select;
  train::EwcOptions ewc;
  train::SleepOptions sleep;
  data::ReplayOptions replay;
  train::HybridOptions hybrid;
  lua_newtable(L);
  const auto add = [L](const char* name, auto& section) {
    lua_newtable(L);
    Fields(SpecWriter{L}, section);
    lua_setfield(L, -2, name);
  };
  train::Sections(add, train, tscore, eval, {clip, schedule});
  add("select", select);
  add("data", text);
  add("domains", domains);
  add("ewc", ewc);
  add("sleep", sleep);
  add("replay", replay);
  add("hybrid", hybrid);
  return 1;
}

}  // namespace

void RegisterOptionRows(lua_State* L) {
  lua_pushcfunction(L, OptionRows);
  lua_setfield(L, -2, "option_rows");
}

}  // namespace lanthorn::runner
