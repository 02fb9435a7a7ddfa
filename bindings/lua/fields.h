// A table of options read into a struct whose options are declared by rows (engine/base/options/option_row.h). What the
// table leaves out keeps the member's value.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_format.h"
#include "bindings/lua/thunk.h"
#include "bindings/lua/value.h"
#include "engine/base/options/option_check.h"
#include "engine/base/status.h"
#include "engine/base/text/nearest.h"

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

  template <typename T>
  void Read(const char* name, T& member) {
    T value{};
    if (!ValueOf<T>::Read(L_, lua_gettop(L_), &value)) {
      if (const std::string part = MisfitOf<T>(L_, lua_gettop(L_)); !part.empty())
        Refuse(absl::StrFormat("option '%s': %s", name, part));
      RefuseType(name, Expected(value));
    }
    if constexpr (std::is_same_v<T, double>) {
      if (!std::isfinite(value)) RefuseType(name, Expected(value));
    }
    member = std::move(value);
  }
  // Of a list, the entry that does not fit is told.
  template <typename T>
  void Read(const char* name, std::vector<T>& member) {
    std::vector<T> values;
    if (!lua_istable(L_, -1)) RefuseType(name, Expected(values));
    const int list = lua_gettop(L_), count = static_cast<int>(lua_objlen(L_, list));
    for (int i = 1; i <= count; ++i, lua_pop(L_, 1)) {
      lua_rawgeti(L_, list, i);
      T value{};
      if (!ValueOf<T>::Read(L_, lua_gettop(L_), &value)) RefuseType(name, Expected(values));
      values.push_back(std::move(value));
    }
    member = std::move(values);
  }
  template <typename T>
  static const char* Expected(const std::map<std::string, T>&) {
    return "a table by name";
  }
  static const char* Expected(bool) { return "a boolean"; }
  static const char* Expected(double) { return "a number"; }
  static const char* Expected(std::integral auto) { return "an int"; }
  static const char* Expected(const std::string&) { return "a string"; }
  static const char* Expected(const std::vector<std::string>&) { return "a list of strings"; }
  template <typename T>
  static const char* Expected(const std::vector<T>&) {
    return "a list of numbers";
  }
  // By FromText(text, &member) of the enumeration's namespace.
  template <typename Enum>
  void ReadEnum(const OptionRow& row, Enum& member) {
    if (lua_type(L_, -1) != LUA_TSTRING) RefuseType(row.name, "a string");
    const std::string text = lua_tostring(L_, -1);
    if (!FromText(text, &member)) throw StatusError(OptionCheck::UnknownText(who_, row, text));
  }
  lua_State* L_;
  int index_;
  std::string who_;
  std::vector<std::string> names_;
};

// Reads the options of a table, which may be absent: then, too, their rows must allow what they are. [-0, +0, e]
template <typename Options>
void ReadFields(lua_State* L, int index, const std::string& who, Options& options) {
  if (!lua_isnoneornil(L, index)) {
    if (!lua_istable(L, index)) throw UsageError(who + ": expected a table of options, got " + Describe(L, index));
    FieldReader reader(L, index, who);
    Fields(reader, options);
    reader.RefuseOthers();
  }
  Check(CheckOptionRows(who, options));
}

}  // namespace lanthorn::lua
