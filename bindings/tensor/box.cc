// The tensor userdata's life: pushing, scopes (torch.scope and the trainer's steps), and garbage collection by bytes.
#include <c10/util/Exception.h>

#include <algorithm>
#include <unordered_set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "bindings/lua/userdata.h"
#include "bindings/ops/schema.h"
#include "bindings/tensor/tensor.h"
#include "engine/base/memory/memory.h"

namespace lanthorn::lua {
namespace {

// The boxes made in each open scope, innermost last. One thread touches Lua, so one list serves the process.
std::vector<std::vector<TensorBox*>>& Scopes() {
  static std::vector<std::vector<TensorBox*>> scopes;
  return scopes;
}

void Enter(TensorBox* box, int32_t scope) {
  box->scope = scope;
  if (scope == 0) return;
  auto& list = Scopes()[scope - 1];
  box->slot = static_cast<int32_t>(list.size());
  list.push_back(box);
}

// Tensor bytes above which Lua's garbage is looked for. Garbage that waits for longer is memory that the kernel must
// clear for tensors which could have had its blocks: low for programs that hold little, and growing with those that
// hold much.
int64_t& SoftLimit() {
  static int64_t limit = int64_t{256} << 20;
  return limit;
}

// Moves the tensors at `index` and in its tables, each visited once, to `scope`.
void KeepDeep(lua_State* L, int index, int32_t scope, std::unordered_set<const void*>* seen) {
  if (TensorBox* box = ToTensorBox(L, index)) {
    if (box->scope <= scope || box->freed) return;
    ForgetBox(box);
    Enter(box, scope);
    return;
  }
  if (lua_type(L, index) != LUA_TTABLE || !seen->insert(lua_topointer(L, index)).second) return;
  luaL_checkstack(L, 4, "torch.scope: tables nested too deeply");
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    KeepDeep(L, lua_gettop(L), scope, seen);
    lua_pop(L, 1);
  }
}

}  // namespace

void ForgetBox(TensorBox* box) {
  if (box->scope == 0 || box->scope > static_cast<int32_t>(Scopes().size())) return;
  auto& list = Scopes()[box->scope - 1];
  list.back()->slot = box->slot;
  list[box->slot] = list.back();
  list.pop_back();
  box->scope = 0;
}

void CollectIfNeeded(lua_State* L) {
  const int64_t before = memory::TensorBytes();
  if (before <= SoftLimit()) return;
  lua_gc(L, LUA_GCCOLLECT, 0);
  if (memory::TensorBytes() > before / 5 * 4) SoftLimit() = std::max(SoftLimit(), before / 5 * 7);
}

void PushTensor(lua_State* L, at::Tensor tensor) {
  if (!tensor.defined()) {
    lua_pushnil(L);
    return;
  }
  CollectIfNeeded(L);
  auto* box = new (lua_newuserdata(L, sizeof(TensorBox))) TensorBox;
  lua_pushlightuserdata(L, const_cast<char*>(&kTensorTag));  // found faster than by name
  lua_rawget(L, LUA_REGISTRYINDEX);
  lua_setmetatable(L, -2);
  box->tensor = std::move(tensor);
  Enter(box, static_cast<int32_t>(Scopes().size()));
}

const at::Tensor& CheckTensor(lua_State* L, int index, const char* what) {
  TensorBox* box = ToTensorBox(L, index);
  if (box == nullptr) throw UsageError(absl::StrCat(what, ": expected a Tensor, got ", Describe(L, index)));
  if (box->freed) {
    throw UsageError(absl::StrCat(
        what, ": this tensor was freed when its scope ended; return it from torch.scope or pass it to torch.keep"));
  }
  return box->tensor;
}

std::string TensorLabel(const at::Tensor& tensor) {
  std::string text = DtypeName(tensor.scalar_type()) + " {" + absl::StrJoin(tensor.sizes(), ", ") + "}";
  if (!tensor.device().is_cpu()) text += " " + tensor.device().str();
  return text;
}

int32_t BeginScope(lua_State* L) {
  Scopes().emplace_back();
  return static_cast<int32_t>(Scopes().size());
}

void EndScope(lua_State* L, int32_t scope, int first_kept) {
  if (first_kept > 0) {
    std::unordered_set<const void*> seen;
    for (int i = first_kept, top = lua_gettop(L); i <= top; ++i) KeepDeep(L, i, scope - 1, &seen);
  }
  while (static_cast<int32_t>(Scopes().size()) >= scope) {
    std::vector<TensorBox*> boxes = std::move(Scopes().back());
    Scopes().pop_back();
    for (TensorBox* box : boxes) {
      box->scope = 0;
      box->freed = true;
      box->tensor.reset();
    }
  }
}

void KeepValue(lua_State* L, int index) {
  std::unordered_set<const void*> seen;
  KeepDeep(L, index, 0, &seen);
}

}  // namespace lanthorn::lua
