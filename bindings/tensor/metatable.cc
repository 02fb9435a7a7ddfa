// The tensor's metatable: fields and methods, operators (+ - * / % ^ ..), #t, tostring, indexing.
#include <ATen/ops/scalar_tensor.h>

#include <cmath>
#include <cstring>

#include "absl/strings/str_join.h"
#include "bindings/lua/userdata.h"
#include "bindings/ops/operators.h"
#include "bindings/tensor/methods.h"
#include "bindings/tensor/tensor.h"
#include "engine/base/text/nearest.h"
#include "engine/base/text/tensor_format.h"

namespace lanthorn::lua {
namespace {

int Collect(lua_State* L) {
  TensorBox* box = ToTensorBox(L, 1);
  if (box == nullptr) return 0;  // collected before: a finalizer may call this by hand
  ForgetBox(box);
  box->~TensorBox();
  box->tag = nullptr;
  return 0;
}

std::string MissingMember(const std::string& name) {
  std::vector<std::string> names = FieldNames();
  for (const std::string& operation : OperatorNames()) {
    if (operation[0] != '_') names.push_back(operation);
  }
  return "a Tensor has no '" + name + "'" + DidYouMean(name, names);
}

// What Tab offers behind a tensor.
int Complete(lua_State* L) {
  std::vector<std::string> names = FieldNames();
  names.insert(names.end(), MethodNames().begin(), MethodNames().end());
  PushNames(L, names);
  return 1;
}

// upvalue 1: table of methods, which also caches the operators found so far.
int IndexMeta(lua_State* L) {
  if (lua_type(L, 2) != LUA_TSTRING) {
    PushTensor(L, IndexTensor(L, CheckTensor(L, 1, "tensor index"), 2));
    return 1;
  }
  lua_pushvalue(L, 2);
  lua_rawget(L, lua_upvalueindex(1));
  if (!lua_isnil(L, -1)) return 1;
  if (std::strcmp(lua_tostring(L, 2), "...") == 0) {
    PushTensor(L, IndexTensor(L, CheckTensor(L, 1, "tensor index"), 2));
    return 1;
  }
  const std::string name = lua_tostring(L, 2);
  if (PushField(L, CheckTensor(L, 1, name.c_str()), name)) return 1;
  const OperatorSet* set = FindOperator(name);
  if (set == nullptr) throw UsageError(MissingMember(name));
  PushOperator(L, set);
  lua_pushvalue(L, -1);
  lua_setfield(L, lua_upvalueindex(1), name.c_str());
  return 1;
}

int NewIndexMeta(lua_State* L) {
  const at::Tensor& tensor = CheckTensor(L, 1, "tensor assignment");
  if (lua_type(L, 2) == LUA_TSTRING && std::string(lua_tostring(L, 2)) != "...") {
    if (!SetField(L, tensor, lua_tostring(L, 2), 3)) {
      throw UsageError(std::string("a Tensor has no field '") + lua_tostring(L, 2) + "' that can be set");
    }
    return 0;
  }
  AssignTensor(L, tensor, 2, 3);
  return 0;
}

int Length(lua_State* L) {
  const at::Tensor& tensor = CheckTensor(L, 1, "#");
  if (tensor.dim() == 0) throw UsageError("#: a 0-d tensor has no length; use :item()");
  lua_pushnumber(L, static_cast<double>(tensor.size(0)));
  return 1;
}

int ToString(lua_State* L) {
  TensorBox* box = ToTensorBox(L, 1);
  const std::string text = box == nullptr || box->freed ? "tensor(freed with its scope)" : FormatTensor(box->tensor);
  lua_pushlstring(L, text.data(), text.size());
  return 1;
}

// As the prompt shows it: with type, shape and device below.
int Show(lua_State* L) {
  ToString(L);
  const TensorBox* box = ToTensorBox(L, 1);
  if (box == nullptr || box->freed) return 1;
  const std::string text = std::string(lua_tostring(L, -1)) + "\n" + FormatTensorSummaryLine(box->tensor);
  lua_pushlstring(L, text.data(), text.size());
  return 1;
}

int Concat(lua_State* L) {
  for (int i = 1; i <= 2; ++i) {
    lua_getglobal(L, "tostring");
    lua_pushvalue(L, i);
    lua_call(L, 1, 1);
  }
  lua_concat(L, 2);
  return 1;
}

int Equal(lua_State* L) {
  TensorBox* a = ToTensorBox(L, 1);
  TensorBox* b = ToTensorBox(L, 2);
  lua_pushboolean(L, a != nullptr && b != nullptr && a->tensor.is_same(b->tensor));
  return 1;
}

int Compare(lua_State* L) {
  throw UsageError("tensors are compared element by element with methods: a:lt(b), a:le(b), a:gt(b), a:ge(b), a:eq(b)");
}

// A binary Lua operator is the LibTorch operator of that name; `reversed` names the one for a number on the left.
template <size_t N>
struct Name {
  char text[N];
  constexpr Name(const char (&source)[N]) { std::copy_n(source, N, text); }
};
template <Name name>
int Binary(lua_State* L) {
  static const OperatorSet* set = FindOperator(name.text);
  lua_settop(L, 2);
  return CallOperator(L, *set, 1);
}
int Negate(lua_State* L) {
  static const OperatorSet* set = FindOperator("neg");
  lua_settop(L, 1);
  return CallOperator(L, *set, 1);
}

int CallShape(lua_State* L) {
  lua_settop(L, 1);
  return 1;
}
int ShapeToString(lua_State* L) {
  std::vector<std::string> parts;
  for (int i = 1, n = static_cast<int>(lua_objlen(L, 1)); i <= n; ++i) {
    lua_rawgeti(L, 1, i);
    parts.push_back(std::to_string(static_cast<int64_t>(lua_tonumber(L, -1))));
    lua_pop(L, 1);
  }
  const std::string text = "{" + absl::StrJoin(parts, ", ") + "}";
  lua_pushlstring(L, text.data(), text.size());
  return 1;
}
int ShapeEqual(lua_State* L) {
  bool same = lua_objlen(L, 1) == lua_objlen(L, 2);
  for (int i = 1, n = static_cast<int>(lua_objlen(L, 1)); same && i <= n; ++i) {
    lua_rawgeti(L, 1, i);
    lua_rawgeti(L, 2, i);
    same = lua_tonumber(L, -1) == lua_tonumber(L, -2);
    lua_pop(L, 2);
  }
  lua_pushboolean(L, same);
  return 1;
}

constexpr char kShapeType[] = "torch.Size";

constexpr luaL_Reg kMeta[] = {{"__gc", &Collect},
                              {"__newindex", &Thunk<&NewIndexMeta>},
                              {"__complete", &Thunk<&Complete>},
                              {"__len", &Thunk<&Length>},
                              {"__tostring", &Thunk<&ToString>},
                              {"__show", &Thunk<&Show>},
                              {"__concat", &Thunk<&Concat>},
                              {"__eq", &Thunk<&Equal>},
                              {"__lt", &Thunk<&Compare>},
                              {"__le", &Thunk<&Compare>},
                              {"__add", &Thunk<&Binary<"add">>},
                              {"__sub", &Thunk<&Binary<"sub">>},
                              {"__mul", &Thunk<&Binary<"mul">>},
                              {"__div", &Thunk<&Binary<"div">>},
                              {"__mod", &Thunk<&Binary<"remainder">>},
                              {"__pow", &Thunk<&Binary<"pow">>},
                              {"__unm", &Thunk<&Negate>},
                              {nullptr, nullptr}};
constexpr luaL_Reg kShapeMeta[] = {
    {"__call", &CallShape}, {"__tostring", &Thunk<&ShapeToString>}, {"__eq", &Thunk<&ShapeEqual>}, {nullptr, nullptr}};

void RegisterAll(lua_State* L, const luaL_Reg* functions) {
  for (; functions->name != nullptr; ++functions) {
    lua_pushcfunction(L, functions->func);
    lua_setfield(L, -2, functions->name);
  }
}

}  // namespace

void PushShape(lua_State* L, at::IntArrayRef sizes) {
  lua_createtable(L, static_cast<int>(sizes.size()), 0);
  for (size_t i = 0; i < sizes.size(); ++i) {
    lua_pushnumber(L, static_cast<double>(sizes[i]));
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  luaL_getmetatable(L, kShapeType);
  lua_setmetatable(L, -2);
}

void OpenTensor(lua_State* L) {
  luaL_newmetatable(L, kShapeType);
  RegisterAll(L, kShapeMeta);
  lua_pop(L, 1);
  luaL_newmetatable(L, kTensorType);
  lua_pushlightuserdata(L, const_cast<char*>(&kTensorTag));
  lua_pushvalue(L, -2);
  lua_rawset(L, LUA_REGISTRYINDEX);
  RegisterAll(L, kMeta);
  lua_pushstring(L, kTensorType);
  lua_setfield(L, -2, "__name");
  lua_newtable(L);
  RegisterMethods(L);
  lua_pushcclosure(L, &Thunk<&IndexMeta>, 1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

}  // namespace lanthorn::lua
