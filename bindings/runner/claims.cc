// Claims of work that processes share (engine/run/process/lease.h).
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "bindings/runner/host.h"
#include "engine/base/files/files.h"
#include "engine/run/json_text.h"
#include "engine/run/process/lease.h"
#include "engine/run/process/process_identity.h"

namespace lanthorn::runner {
namespace {

std::unique_ptr<Lease> held;  // a process works on one piece at a time

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
  if (!lease.ok()) return PushFailure(L, lease.status());
  lua_pushboolean(L, *lease != nullptr);
  if (*lease) held = *std::move(lease);
  return 1;
}

// end_claim(text): writes exit.json into the claim that this process holds; true, or nil, message.
int End(lua_State* L) {
  std::size_t size = 0;
  const char* text = luaL_checklstring(L, 1, &size);
  if (!held) return PushFailure(L, absl::FailedPreconditionError("this process holds no claim"));
  const absl::Status status = held->End({text, size});
  held = nullptr;
  return PushOutcome(L, status);
}

// close_claim(folder, number, text): writes exit.json for the claim of a process that is gone; true, or nil, message.
int Close(lua_State* L) {
  const std::string claim = ClaimFolder(luaL_checkstring(L, 1), static_cast<int>(luaL_checkinteger(L, 2)));
  std::size_t size = 0;
  const char* text = luaL_checklstring(L, 3, &size);
  return PushOutcome(L, WriteFileAtomic(claim + "/exit.json", {text, size}));
}

// this_process(): what tells this process from all others, of other machines too, as JSON text.
int This(lua_State* L) {
  lua_pushstring(L, JsonText(ThisProcess()).c_str());
  return 1;
}

// is_alive(text): whether a process of this machine that such a text names exists.
int Alive(lua_State* L) {
  const nlohmann::json process = nlohmann::json::parse(luaL_checkstring(L, 1), nullptr, /*allow_exceptions=*/false);
  lua_pushboolean(L, process.is_object() && IsAlive(process));
  return 1;
}

constexpr luaL_Reg kFunctions[] = {{"read_claim", Read},   {"take_claim", Take},   {"end_claim", End},
                                   {"close_claim", Close}, {"this_process", This}, {"is_alive", Alive},
                                   {nullptr, nullptr}};

}  // namespace

void RegisterClaims(lua_State* L) { luaL_register(L, nullptr, kFunctions); }

}  // namespace lanthorn::runner
