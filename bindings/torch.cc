// The table `torch`: operators found by name at first use, and the few functions that are not operators.
#include "bindings/torch.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include "bindings/lua/function.h"
#include "bindings/lua/userdata.h"
#include "bindings/ops/generator.h"
#include "bindings/ops/operators.h"
#include "bindings/tensor/tensor.h"
#include "engine/base/memory.h"
#include "engine/base/nearest.h"
#include "engine/base/safetensors.h"
#include "engine/device/device.h"
#include "engine/train/state/random_state.h"

namespace lanthorn::lua {
namespace {

// Names of Python's torch that LibTorch calls otherwise.
const char* Alias(const std::string& name) {
  if (name == "cross_entropy") return "cross_entropy_loss";
  if (name == "repeat_") return "repeat";
  return nullptr;
}

// upvalue 1: the table torch itself, where a found operator is kept.
int IndexTorch(lua_State* L) {
  if (lua_type(L, 2) != LUA_TSTRING) throw UsageError("torch: names are strings, got " + Describe(L, 2));
  const std::string name = lua_tostring(L, 2);
  const char* alias = Alias(name);
  const OperatorSet* set = FindOperator(alias != nullptr ? alias : name);
  if (set == nullptr) {
    std::vector<std::string> names;
    lua_pushnil(L);
    while (lua_next(L, 1) != 0) {
      lua_pop(L, 1);
      if (lua_type(L, -1) == LUA_TSTRING) names.push_back(lua_tostring(L, -1));
    }
    for (const std::string& operation : OperatorNames()) {
      if (operation[0] != '_') names.push_back(operation);
    }
    throw UsageError("torch has no '" + name + "'" + DidYouMean(name, names));
  }
  PushOperator(L, set);
  lua_pushvalue(L, -1);
  lua_setfield(L, 1, name.c_str());
  return 1;
}

template <bool kEnabled>
int WithGradMode(lua_State* L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  at::AutoGradMode mode(kEnabled);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

int ForkRng(lua_State* L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  const train::RandomState random;
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

int Scope(lua_State* L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  ScopeGuard guard(L);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  guard.End(1);
  return lua_gettop(L);
}

int Keep(lua_State* L) {
  for (int i = 1; i <= lua_gettop(L); ++i) KeepValue(L, i);
  return lua_gettop(L);
}

int Memory(lua_State* L) {
  constexpr double kMb = 1e6;
  lua_createtable(L, 0, 6);
  auto set = [L](const char* name, double bytes) {
    if (bytes < 0) return;  // unknown stays absent
    lua_pushnumber(L, bytes / kMb);
    lua_setfield(L, -2, name);
  };
  set("tensor_mb", static_cast<double>(memory::TensorBytes()));
  set("tensor_peak_mb", static_cast<double>(memory::TensorPeakBytes()));
  set("lua_mb", lua_gc(L, LUA_GCCOUNT, 0) * 1024.0);
  set("rss_mb", static_cast<double>(memory::ResidentBytes()));
  set("rss_peak_mb", static_cast<double>(memory::ResidentPeakBytes()));
  set("limit_mb", static_cast<double>(memory::Limit()));
  return 1;
}

int SetMemoryLimit(lua_State* L) {
  const std::string text = luaL_checkstring(L, 1);
  const int64_t bytes = memory::ParseBytes(text);
  if (bytes <= 0)
    Check(ConfigError("memory limit '" + text + "' is not a size; write 4GiB, 512MiB or a number of bytes"));
  memory::SetLimit(bytes);
  return 0;
}

int Save(lua_State* L) {
  if (!lua_istable(L, 1) || lua_type(L, 2) != LUA_TSTRING) {
    throw UsageError("torch.save({name = tensor, ...}, path): got " + Describe(L, 1) + " and " + Describe(L, 2));
  }
  std::map<std::string, at::Tensor> tensors;
  lua_pushnil(L);
  while (lua_next(L, 1) != 0) {
    if (lua_type(L, -2) != LUA_TSTRING)
      throw UsageError("torch.save: names must be strings, got " + Describe(L, lua_gettop(L) - 1));
    const std::string name = lua_tostring(L, -2);
    tensors[name] = CheckTensor(L, lua_gettop(L), ("torch.save: '" + name + "'").c_str()).detach();
    lua_pop(L, 1);
  }
  std::map<std::string, std::string> metadata;
  if (lua_istable(L, 3)) {
    lua_pushnil(L);
    while (lua_next(L, 3) != 0) {
      if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING) {
        throw UsageError("torch.save: metadata maps strings to strings");
      }
      metadata[lua_tostring(L, -2)] = lua_tostring(L, -1);
      lua_pop(L, 1);
    }
  }
  Check(WriteSafetensors(lua_tostring(L, 2), {tensors.begin(), tensors.end()}, metadata));
  return 0;
}

int Load(lua_State* L) {
  const SafetensorsFile file = Value(ReadSafetensors(luaL_checkstring(L, 1)));
  lua_createtable(L, 0, static_cast<int>(file.tensors.size()));
  for (const auto& [name, tensor] : file.tensors) {
    PushTensor(L, tensor);
    lua_setfield(L, -2, name.c_str());
  }
  lua_createtable(L, 0, static_cast<int>(file.metadata.size()));
  for (const auto& [key, value] : file.metadata) {
    lua_pushlstring(L, value.data(), value.size());
    lua_setfield(L, -2, key.c_str());
  }
  return 2;
}

int IsTensorFunction(lua_State* L) {
  lua_pushboolean(L, IsTensor(L, 1));
  return 1;
}

int GetNumThreads(lua_State* L) {
  lua_pushinteger(L, at::get_num_threads());
  return 1;
}

int SetNumThreads(lua_State* L) {
  const int64_t threads = CheckWhole(L, 1, "torch.set_num_threads");
  if (threads < 1) throw UsageError("torch.set_num_threads: at least 1 thread is needed");
  at::set_num_threads(static_cast<int>(threads));
  return 0;
}

int Devices(lua_State* L) {
  lua_newtable(L);
  const std::vector<std::string> names = device::Available();
  for (size_t i = 0; i < names.size(); ++i) {
    lua_pushstring(L, names[i].c_str());
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  return 1;
}

int DeviceName(lua_State* L) {
  lua_pushstring(L, Value(device::Resolve(luaL_checkstring(L, 1))).str().c_str());
  return 1;
}

int Operators(lua_State* L) {
  PushNames(L, OperatorNames());
  return 1;
}

int Schemas(lua_State* L) {
  const OperatorSet* set = FindOperator(luaL_checkstring(L, 1));
  lua_newtable(L);
  for (size_t i = 0; set != nullptr && i < set->overloads.size(); ++i) {
    lua_pushstring(L, c10::toString(set->overloads[i].handle.schema()).c_str());
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  return 1;
}

const std::vector<FunctionRow> kRows = {
    {"tensor", "(data, *, dtype? dtype=None, device? device=None, bool requires_grad=False) -> Tensor",
     "A tensor from a number, a boolean or nested tables of them. Lua numbers carry no integer type: the result is "
     "float32 "
     "(bool for booleans) unless dtype says otherwise.",
     &Thunk<&NewTensor>, "torch.tensor({{1, 2}, {3, 4}}, {dtype='int64'})"},
    {"no_grad", "(function f, ...) -> ...", "Calls f(...) without recording gradients and returns what it returns.",
     &Thunk<&WithGradMode<false>>, "torch.no_grad(function() return torch.randn{2}:sum() end)"},
    {"enable_grad", "(function f, ...) -> ...", "Calls f(...) with gradients recorded, inside torch.no_grad too.",
     &Thunk<&WithGradMode<true>>},
    {"fork_rng", "(function f, ...) -> ...",
     "Calls f(...) and puts the CPU's random numbers back where they were, so that nothing f draws shifts what "
     "follows.",
     &Thunk<&ForkRng>, "torch.fork_rng(function() return torch.randn{2} end)"},
    {"scope", "(function f, ...) -> ...",
     "Calls f(...) and frees every tensor made inside but those returned (in tables too) or passed to torch.keep.",
     &Thunk<&Scope>, "torch.scope(function() local x = torch.randn{1000}; return x:sum():item() end)"},
    {"keep", "(...) -> ...", "Keeps tensors (or tables of them) alive after the end of their scope.", &Thunk<&Keep>},
    {"memory", "() -> table",
     "Memory in MB: tensor, tensor peak, Lua, resident, resident peak, limit; unknown values are absent.",
     &Thunk<&Memory>, "torch.memory().tensor_mb"},
    {"set_memory_limit", "(str size) -> ()",
     "Caps tensor memory ('4GiB'); an allocation above it raises 'out of memory' which pcall can catch.",
     &Thunk<&SetMemoryLimit>},
    {"save", "(table tensors, str path, table? metadata=None) -> ()",
     "Writes {name = tensor} as a safetensors file, atomically.", &Thunk<&Save>},
    {"load", "(str path) -> table, table", "Reads a safetensors file: {name = tensor} and its metadata.",
     &Thunk<&Load>},
    {"is_tensor", "(value) -> bool", "Whether the value is a tensor.", &Thunk<&IsTensorFunction>, "torch.is_tensor(3)"},
    {"get_num_threads", "() -> int", "Threads used inside one operator.", &Thunk<&GetNumThreads>,
     "torch.get_num_threads()"},
    {"set_num_threads", "(int threads) -> ()", "Sets the threads used inside one operator.", &Thunk<&SetNumThreads>},
    {"devices", "() -> str[]", "Names of the devices present.", &Thunk<&Devices>, "torch.devices()"},
    {"device", "(str name) -> str",
     "The device of that name, such as 'auto', 'cpu' or 'cuda:0'; one that is not here is an error, never replaced.",
     &Thunk<&DeviceName>, "torch.device('auto')"},
    {"operators", "() -> str[]", "Names of all operators.", &Thunk<&Operators>, "#torch.operators()"},
    {"schemas", "(str name) -> str[]", "The schemas of all overloads of an operator.", &Thunk<&Schemas>,
     "torch.schemas('matmul')"},
};

}  // namespace

void OpenTorch(lua_State* L) {
  memory::Install();
  if (const char* limit = std::getenv("RUNNER_MEM_LIMIT"); limit != nullptr && *limit != '\0') {
    const int64_t bytes = memory::ParseBytes(limit);
    if (bytes <= 0)
      Check(ConfigError(std::string("RUNNER_MEM_LIMIT '") + limit +
                        "' is not a size; write 4GiB, 512MiB or a number of bytes"));
    memory::SetLimit(bytes);
  }
  lua_newtable(L);
  OpenTensor(L);
  OpenGenerator(L);
  RegisterRows(L, "torch", kRows);
  for (const char* name : {"float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8",
                           "bool", "complex64", "complex128"}) {
    lua_pushstring(L, name);
    lua_setfield(L, -2, name);
  }
  lua_pushstring(L, "newaxis");
  lua_setfield(L, -2, "newaxis");
  lua_newtable(L);
  lua_pushcfunction(L, &Thunk<&IndexTorch>);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, &Thunk<&Operators>);
  lua_setfield(L, -2, "__complete");  // what Tab offers beside the table's own names
  lua_setmetatable(L, -2);
}

}  // namespace lanthorn::lua
