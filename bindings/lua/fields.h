// A table of options read into a struct whose options are declared by rows (engine/base/option_row.h). What the table
// leaves out keeps the member's value.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_format.h"
#include "bindings/lua/thunk.h"
#include "bindings/lua/userdata.h"
#include "engine/base/nearest.h"
#include "engine/base/option_check.h"
#include "engine/base/status.h"

namespace lanthorn::lua {

// Reads one option from the table at `index`. Raises when it has another type or value than its row says.
class FieldReader {
 public:
  // `who` begins the messages: "train". The index must be absolute.
  FieldReader(lua_State* L, int index, std::string who) : L_(L), index_(index), who_(std::move(who)) {}

  template <typename T>
  void operator()(const OptionRow& row, T& member) {
    names_.push_back(row.name);
    lua_getfield(L_, index_, row.name);
    if (!lua_isnil(L_, -1)) {
      if constexpr (std::is_enum_v<T>) {
        ReadEnum(row, member);
      } else {
        Read(row.name, member);
      }
    }
    lua_pop(L_, 1);
  }

  // Raises for a name in the table that was not read.
  void RefuseOthers() {
    for (lua_pushnil(L_); lua_next(L_, index_) != 0; lua_pop(L_, 1)) {
      const std::string name =
          lua_type(L_, -2) == LUA_TSTRING ? lua_tostring(L_, -2) : Describe(L_, lua_gettop(L_) - 1);
      if (!absl::c_linear_search(names_, name)) Refuse("unknown option '" + name + "'" + DidYouMean(name, names_));
    }
  }

 private:
  [[noreturn]] void Refuse(const std::string& what) const { throw StatusError(ConfigError(who_ + ": " + what)); }
  [[noreturn]] void RefuseType(const char* name, const char* expected) const {
    Refuse(absl::StrFormat("option '%s' must be %s, got %s", name, expected, Describe(L_, lua_gettop(L_))));
  }

  void Read(const char* name, int64_t& member) {
    const double value = lua_tonumber(L_, -1);
    if (lua_type(L_, -1) != LUA_TNUMBER || value != std::floor(value) || std::abs(value) > 9007199254740992.0)
      RefuseType(name, "an int");
    member = static_cast<int64_t>(value);
  }
  void Read(const char* name, double& member) {
    if (lua_type(L_, -1) != LUA_TNUMBER || !std::isfinite(lua_tonumber(L_, -1))) RefuseType(name, "a number");
    member = lua_tonumber(L_, -1);
  }
  void Read(const char* name, bool& member) {
    if (!lua_isboolean(L_, -1)) RefuseType(name, "a boolean");
    member = lua_toboolean(L_, -1) != 0;
  }
  void Read(const char* name, std::string& member) {
    if (lua_type(L_, -1) != LUA_TSTRING) RefuseType(name, "a string");
    member = lua_tostring(L_, -1);
  }
  // By FromText(text, &member) of the enumeration's namespace.
  template <typename Enum>
  void ReadEnum(const OptionRow& row, Enum& member) {
    if (lua_type(L_, -1) != LUA_TSTRING) RefuseType(row.name, "a string");
    const std::string text = lua_tostring(L_, -1);
    if (!FromText(text, &member)) throw StatusError(OptionCheck::UnknownText(who_, row, text));
  }
  void Read(const char* name, std::vector<double>& member) {
    ReadList(name, member, LUA_TNUMBER, "a list of numbers", [this] { return lua_tonumber(L_, -1); });
  }
  void Read(const char* name, std::vector<std::string>& member) {
    ReadList(name, member, LUA_TSTRING, "a list of strings", [this] { return lua_tostring(L_, -1); });
  }
  // `type`: that of each item; item() is the one on the top of the stack.
  template <typename T, typename Item>
  void ReadList(const char* name, std::vector<T>& member, int type, const char* expected, Item item) {
    if (!lua_istable(L_, -1)) RefuseType(name, expected);
    member.clear();
    const int list = lua_gettop(L_), count = static_cast<int>(lua_objlen(L_, list));
    for (int i = 1; i <= count; ++i) {
      lua_rawgeti(L_, list, i);
      if (lua_type(L_, -1) != type) RefuseType(name, expected);
      member.emplace_back(item());
      lua_pop(L_, 1);
    }
  }

  lua_State* L_;
  int index_;
  std::string who_;
  std::vector<std::string> names_;
};

// Reads the options of a table, which may be absent. [-0, +0, e]
template <typename Options>
void ReadFields(lua_State* L, int index, const std::string& who, Options& options) {
  if (lua_isnoneornil(L, index)) return;
  if (!lua_istable(L, index)) throw UsageError(who + ": expected a table of options, got " + Describe(L, index));
  FieldReader reader(L, index, who);
  Fields(reader, options);
  reader.RefuseOthers();
  Check(CheckOptionRows(who, options));
}

}  // namespace lanthorn::lua
