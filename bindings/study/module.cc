// lanthorn_study.so: `require 'lanthorn_study'` gives { open }. A module of its own, so that whoever uses no database
// does not load the libraries of two.
#include <lua.hpp>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "engine/study/database.h"
#include "engine/study/repeated_statement.h"

namespace lanthorn {
namespace {

constexpr char kType[] = "lanthorn.Database";

struct Handle {
  std::string url;
  std::unique_ptr<Database> database;
  std::unique_ptr<RepeatedStatement> repeated;
};

Handle& Self(lua_State* L) {
  auto& handle = *static_cast<Handle*>(luaL_checkudata(L, 1, kType));
  luaL_argcheck(L, handle.database != nullptr, 1, "the database is closed");
  return handle;
}

// [-0, +3, m] nil, message, and whether trying again may help.
int PushFailure(lua_State* L, const absl::Status& status) {
  lua_pushnil(L);
  lua_pushstring(L, MessageOf(status).c_str());
  lua_pushboolean(L, absl::IsUnavailable(status));
  return 3;
}

DatabaseValue ReadValue(lua_State* L, int at) {
  switch (lua_type(L, at)) {
    case LUA_TNIL:
      return std::monostate{};
    case LUA_TBOOLEAN:
      return static_cast<int64_t>(lua_toboolean(L, at));
    case LUA_TNUMBER: {
      const double number = lua_tonumber(L, at);
      const auto integer = static_cast<int64_t>(number);
      if (static_cast<double>(integer) == number) return integer;
      return number;
    }
    default: {
      std::size_t size = 0;
      const char* text = luaL_checklstring(L, at, &size);
      return std::string(text, size);
    }
  }
}

void PushValue(lua_State* L, const DatabaseValue& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return lua_pushnumber(L, static_cast<double>(*integer));
  if (const auto* number = std::get_if<double>(&value)) return lua_pushnumber(L, *number);
  if (const auto* text = std::get_if<std::string>(&value)) {
    lua_pushlstring(L, text->data(), text->size());
    return;
  }
  lua_pushnil(L);
}

// The values from `at` on. Checked before anything is made that a Lua error would leave behind.
void CheckValues(lua_State* L, int at) {
  for (int i = at; i <= lua_gettop(L); ++i) {
    const int type = lua_type(L, i);
    luaL_argcheck(L, type == LUA_TNIL || type == LUA_TBOOLEAN || type == LUA_TNUMBER || type == LUA_TSTRING, i,
                  "expected nil, a boolean, a number or text");
  }
}

std::vector<DatabaseValue> ReadValues(lua_State* L, int at) {
  std::vector<DatabaseValue> values;
  for (int i = at; i <= lua_gettop(L); ++i) values.push_back(ReadValue(L, i));
  return values;
}

// database:execute(sql, …): a list of rows, each a list in which NULL is nil; or nil, message, whether to try again.
int Execute(lua_State* L) {
  Handle& self = Self(L);
  luaL_checkstring(L, 2);
  CheckValues(L, 3);
  const auto rows = self.database->Execute(lua_tostring(L, 2), ReadValues(L, 3));
  if (!rows.ok()) return PushFailure(L, rows.status());
  lua_createtable(L, static_cast<int>(rows->size()), 0);
  for (std::size_t i = 0; i < rows->size(); ++i) {
    lua_createtable(L, static_cast<int>((*rows)[i].size()), 0);
    for (std::size_t j = 0; j < (*rows)[i].size(); ++j) {
      PushValue(L, (*rows)[i][j]);
      lua_rawseti(L, -2, static_cast<int>(j) + 1);
    }
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  return 1;
}

// database:repeat_every(seconds, sql, …): runs it in the background, in place of what was repeated before; true, or
// nil, message.
int RepeatEvery(lua_State* L) {
  Handle& self = Self(L);
  const std::chrono::milliseconds interval(static_cast<int64_t>(1000 * luaL_checknumber(L, 2)));
  luaL_checkstring(L, 3);
  CheckValues(L, 4);
  self.repeated = nullptr;
  auto database = OpenDatabase(self.url);
  if (!database.ok()) return PushFailure(L, database.status());
  self.repeated =
      std::make_unique<RepeatedStatement>(*std::move(database), lua_tostring(L, 3), ReadValues(L, 4), interval);
  lua_pushboolean(L, 1);
  return 1;
}

// database:stop_repeating()
int StopRepeating(lua_State* L) {
  Self(L).repeated = nullptr;
  return 0;
}

// database:url(): without its password.
int Url(lua_State* L) {
  lua_pushstring(L, WithoutPassword(Self(L).url).c_str());
  return 1;
}

// database:disconnect(): until the next statement.
int Disconnect(lua_State* L) {
  Self(L).database->Disconnect();
  return 0;
}

// database:close(): further use is an error.
int Close(lua_State* L) {
  auto& handle = *static_cast<Handle*>(luaL_checkudata(L, 1, kType));
  handle.repeated = nullptr;
  handle.database = nullptr;
  return 0;
}

int Collect(lua_State* L) {
  static_cast<Handle*>(luaL_checkudata(L, 1, kType))->~Handle();
  return 0;
}

// open(url): a database; or nil, message, whether to try again.
int Open(lua_State* L) {
  const char* url = luaL_checkstring(L, 1);
  void* memory = lua_newuserdata(L, sizeof(Handle));
  auto& handle = *new (memory) Handle;
  luaL_getmetatable(L, kType);
  lua_setmetatable(L, -2);
  handle.url = url;
  auto database = OpenDatabase(handle.url);
  if (!database.ok()) return PushFailure(L, database.status());
  handle.database = *std::move(database);
  return 1;
}

constexpr luaL_Reg kMethods[] = {{"execute", Execute},
                                 {"repeat_every", RepeatEvery},
                                 {"stop_repeating", StopRepeating},
                                 {"url", Url},
                                 {"disconnect", Disconnect},
                                 {"close", Close},
                                 {"__gc", Collect},
                                 {nullptr, nullptr}};
constexpr luaL_Reg kFunctions[] = {{"open", Open}, {nullptr, nullptr}};

}  // namespace
}  // namespace lanthorn

extern "C" __attribute__((visibility("default"))) int luaopen_lanthorn_study(lua_State* L) {
  luaL_newmetatable(L, lanthorn::kType);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  luaL_register(L, nullptr, lanthorn::kMethods);
  lua_newtable(L);
  luaL_register(L, nullptr, lanthorn::kFunctions);
  return 1;
}
