// Claims of work that processes share (engine/run/process/lease.h), and hashes by which such work is named.
#include <errno.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "bindings/runner/host.h"
#include "engine/base/files/files.h"
#include "engine/run/process/lease.h"

namespace lanthorn::runner {
namespace {

std::unique_ptr<Lease> held;  // a process works on one piece at a time

int Refuse(lua_State* L, const absl::Status& status) {
  lua_pushnil(L);
  lua_pushstring(L, MessageOf(status).c_str());
  return 2;
}

// read_claim(folder, brief): the newest claim, { number, pid, host, alive, exit = text or nil }; nil when there is
// none. `brief` leaves out pid and host of one that has ended.
int Read(lua_State* L) {
  const Claim claim = ReadClaim(luaL_checkstring(L, 1), lua_toboolean(L, 2));
  if (claim.number == 0) return 0;
  lua_createtable(L, 0, 5);
  lua_pushinteger(L, claim.number);
  lua_setfield(L, -2, "number");
  lua_pushnumber(L, static_cast<double>(claim.pid));
  lua_setfield(L, -2, "pid");
  lua_pushstring(L, claim.host.c_str());
  lua_setfield(L, -2, "host");
  lua_pushboolean(L, claim.alive);
  lua_setfield(L, -2, "alive");
  if (!claim.exit.empty()) {
    lua_pushlstring(L, claim.exit.data(), claim.exit.size());
    lua_setfield(L, -2, "exit");
  }
  return 1;
}

// take_claim(folder, number): true; false when another process has it; or nil, message. It is held until end_claim.
int Take(lua_State* L) {
  const char* folder = luaL_checkstring(L, 1);
  auto lease = Lease::Take(folder, static_cast<int>(luaL_checkinteger(L, 2)));
  if (!lease.ok()) return Refuse(L, lease.status());
  lua_pushboolean(L, *lease != nullptr);
  if (*lease) held = *std::move(lease);
  return 1;
}

// end_claim(text): writes exit.json into the claim that this process holds; true, or nil, message.
int End(lua_State* L) {
  std::size_t size = 0;
  const char* text = luaL_checklstring(L, 1, &size);
  if (!held) return Refuse(L, absl::FailedPreconditionError("this process holds no claim"));
  const absl::Status status = held->End({text, size});
  held = nullptr;
  if (!status.ok()) return Refuse(L, status);
  lua_pushboolean(L, 1);
  return 1;
}

// close_claim(folder, number, text): writes exit.json for the claim of a process that is gone; true, or nil, message.
int Close(lua_State* L) {
  const std::string claim = ClaimFolder(luaL_checkstring(L, 1), static_cast<int>(luaL_checkinteger(L, 2)));
  std::size_t size = 0;
  const char* text = luaL_checklstring(L, 3, &size);
  const absl::Status status = WriteFileAtomic(claim + "/exit.json", {text, size});
  if (!status.ok()) return Refuse(L, status);
  lua_pushboolean(L, 1);
  return 1;
}

// sha256(text): 64 hex digits.
int Sha256(lua_State* L) {
  std::size_t size = 0;
  const char* text = luaL_checklstring(L, 1, &size);
  lua_pushstring(L, Sha256Hex({text, size}).c_str());
  return 1;
}

// write_file(path, text): replaces the file at once and for good; true, or nil, message.
int Write(lua_State* L) {
  const char* path = luaL_checkstring(L, 1);
  std::size_t size = 0;
  const char* text = luaL_checklstring(L, 2, &size);
  if (const absl::Status status = WriteFileAtomic(path, {text, size}); !status.ok()) return Refuse(L, status);
  lua_pushboolean(L, 1);
  return 1;
}

// create_file(path, text): makes the file, whole and for good; true, false when there is one already, or nil, message.
int Create(lua_State* L) {
  const std::string path = luaL_checkstring(L, 1);
  std::size_t size = 0;
  const char* text = luaL_checklstring(L, 2, &size);
  const std::string made = path + "." + std::to_string(getpid()) + ".new";
  if (const absl::Status status = WriteFileAtomic(made, {text, size}); !status.ok()) return Refuse(L, status);
  const bool first = link(made.c_str(), path.c_str()) == 0;
  const int error = errno;
  unlink(made.c_str());
  if (!first && error != EEXIST) return PushFailure(L, path.c_str(), error);
  lua_pushboolean(L, first);
  return 1;
}

// link(path, target): makes path a link to target, in place of a link that is there; true, or nil, message.
int Link(lua_State* L) {
  const absl::Status status = ReplaceLink(luaL_checkstring(L, 1), luaL_checkstring(L, 2));
  if (!status.ok()) return Refuse(L, status);
  lua_pushboolean(L, 1);
  return 1;
}

constexpr luaL_Reg kFunctions[] = {{"read_claim", Read},    {"take_claim", Take}, {"end_claim", End},
                                   {"close_claim", Close},  {"sha256", Sha256},   {"write_file", Write},
                                   {"create_file", Create}, {"link", Link},       {nullptr, nullptr}};

}  // namespace

void RegisterClaims(lua_State* L) { luaL_register(L, nullptr, kFunctions); }

}  // namespace lanthorn::runner
