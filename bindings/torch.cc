// The table `torch`: operators found by name at first use, and the few functions that are not operators.
#include "bindings/torch.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include "bindings/lua/typed.h"
#include "bindings/ops/generator.h"
#include "bindings/ops/operators.h"
#include "bindings/tensor/tensor.h"
#include "engine/base/files/safetensors.h"
#include "engine/base/memory/memory.h"
#include "engine/base/text/nearest.h"
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

std::map<std::string, double> Memory(lua_State* L) {
  std::map<std::string, double> mb;
  for (const auto& [name, bytes] : {std::pair{"tensor_mb", static_cast<double>(memory::TensorBytes())},
                                    {"tensor_peak_mb", static_cast<double>(memory::TensorPeakBytes())},
                                    {"lua_mb", lua_gc(L, LUA_GCCOUNT, 0) * 1024.0},
                                    {"rss_mb", static_cast<double>(memory::ResidentBytes())},
                                    {"rss_peak_mb", static_cast<double>(memory::ResidentPeakBytes())},
                                    {"limit_mb", static_cast<double>(memory::Limit())}}) {
    if (bytes >= 0) mb[name] = bytes / 1e6;  // unknown stays absent
  }
  return mb;
}

// A size in words, or a ConfigError that calls it `what`.
int64_t BytesOf(const std::string& size, const std::string& what) {
  const int64_t bytes = memory::ParseBytes(size);
  if (bytes <= 0) Check(ConfigError(what + " '" + size + "' is not a size; write 4GiB, 512MiB or a number of bytes"));
  return bytes;
}
void SetMemoryLimit(const std::string& size) { memory::SetLimit(BytesOf(size, "memory limit")); }

absl::Status Save(const std::map<std::string, at::Tensor>& tensors, const std::string& path,
                  std::optional<std::map<std::string, std::string>> metadata) {
  std::vector<std::pair<std::string, at::Tensor>> list;
  for (const auto& [name, tensor] : tensors) list.emplace_back(name, tensor.detach());
  return WriteSafetensors(path, list, metadata.value_or(std::map<std::string, std::string>()));
}

std::tuple<std::vector<std::pair<std::string, at::Tensor>>, std::map<std::string, std::string>> Load(
    const std::string& path) {
  SafetensorsFile file = Value(ReadSafetensors(path));
  return {std::move(file.tensors), std::move(file.metadata)};
}

bool IsTensorFunction(lua_State* L, Anything value) { return IsTensor(L, value.index); }

void SetNumThreads(int64_t threads) {
  if (threads < 1) throw UsageError("torch.set_num_threads: at least 1 thread is needed");
  at::set_num_threads(static_cast<int>(threads));
}

std::string DeviceName(const std::string& name) { return Value(device::Resolve(name)).str(); }

// What Tab offers beside the table's own names; argument 1 is the table.
int CompleteTorch(lua_State* L) {
  PushNames(L, OperatorNames());
  return 1;
}

std::vector<std::string> Schemas(const std::string& name) {
  std::vector<std::string> schemas;
  if (const OperatorSet* set = FindOperator(name)) {
    for (const auto& overload : set->overloads) schemas.push_back(c10::toString(overload.handle.schema()));
  }
  return schemas;
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
    {"memory", "", "Memory in MB: tensor, tensor peak, Lua, resident, resident peak, limit; unknown values are absent.",
     Typed<&Memory>, "torch.memory().tensor_mb"},
    {"set_memory_limit", "size",
     "Caps tensor memory ('4GiB'); an allocation above it raises 'out of memory' which pcall can catch.",
     Typed<&SetMemoryLimit>},
    {"save", "tensors, path, metadata", "Writes {name = tensor} as a safetensors file, atomically.", Typed<&Save>},
    {"load", "path", "Reads a safetensors file: {name = tensor} and its metadata.", Typed<&Load>},
    {"is_tensor", "value", "Whether the value is a tensor.", Typed<&IsTensorFunction>, "torch.is_tensor(3)"},
    {"get_num_threads", "", "Threads used inside one operator.", Typed<&at::get_num_threads>,
     "torch.get_num_threads()"},
    {"set_num_threads", "threads", "Sets the threads used inside one operator.", Typed<&SetNumThreads>},
    {"devices", "", "Names of the devices present.", Typed<&device::Available>, "torch.devices()"},
    {"device", "name",
     "The device of that name, such as 'auto', 'cpu' or 'cuda:0'; one that is not here is an error, never replaced.",
     Typed<&DeviceName>, "torch.device('auto')"},
    {"operators", "", "Names of all operators.", Typed<&OperatorNames>, "#torch.operators()"},
    {"schemas", "name", "The schemas of all overloads of an operator.", Typed<&Schemas>, "torch.schemas('matmul')"},
};

}  // namespace

void OpenTorch(lua_State* L) {
  memory::Install();
  if (const char* limit = std::getenv("RUNNER_MEM_LIMIT"); limit != nullptr && *limit != '\0') {
    memory::SetLimit(BytesOf(limit, "RUNNER_MEM_LIMIT"));
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
  lua_pushcfunction(L, &Thunk<&CompleteTorch>);
  lua_setfield(L, -2, "__complete");  // what Tab offers beside the table's own names
  lua_setmetatable(L, -2);
}

}  // namespace lanthorn::lua
