// Tensors in Lua: userdata with PyTorch's methods, 0-based indexing and operators.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>

#include "bindings/lua/value.h"

namespace lanthorn::lua {

inline constexpr char kTensorType[] = "Tensor";

// Stands at the head of every live tensor userdata: comparing it is much cheaper than comparing metatables.
inline constexpr char kTensorTag = 0;

// What a tensor becomes when a module's field is set to it: a field like any other, or a tensor of the module's own.
enum class Membership : uint8_t { kNone, kParameter, kBuffer };

// What a tensor userdata holds. `scope` is 0 outside of torch.scope; `slot` is the place in the scope's list.
struct TensorBox {
  const void* tag = &kTensorTag;
  at::Tensor tensor;
  int32_t scope = 0;
  int32_t slot = 0;
  bool freed = false;  // its scope has ended
  Membership membership = Membership::kNone;
  uint32_t created_order = 0;  // of a parameter or buffer, among modules
};

// Pushes a tensor (nil for an undefined one), counts it into the open scope, and collects garbage when tensor memory
// is above the soft limit. [-0, +1, m]
void PushTensor(lua_State* L, at::Tensor tensor);

// The box at `index`, or nullptr if it holds no tensor. [-0, +0, -]
inline TensorBox* ToTensorBox(lua_State* L, int index) {
  if (lua_type(L, index) != LUA_TUSERDATA || lua_objlen(L, index) != sizeof(TensorBox)) return nullptr;
  auto* box = static_cast<TensorBox*>(lua_touserdata(L, index));
  return box->tag == &kTensorTag ? box : nullptr;
}
inline bool IsTensor(lua_State* L, int index) { return ToTensorBox(L, index) != nullptr; }

// The tensor at `index`; raises for anything else and for one freed by its scope. [-0, +0, e]
const at::Tensor& CheckTensor(lua_State* L, int index, const char* what);

template <>
struct ValueOf<at::Tensor> {
  static std::string Type() { return "Tensor"; }
  static bool Read(lua_State* L, int index, at::Tensor* value) {
    if (!IsTensor(L, index)) return false;
    *value = CheckTensor(L, index, "argument");
    return true;
  }
  static void Push(lua_State* L, at::Tensor value) { PushTensor(L, std::move(value)); }
};

// "float32 {2, 3}", with the device when it is not the CPU.
std::string TensorLabel(const at::Tensor& tensor);

// torch.tensor(data, options). [-n, +1, e]
int NewTensor(lua_State* L);

// Pushes a table of integers that also can be called (so that t.shape and t:shape() both work). [-0, +1, m]
void PushShape(lua_State* L, at::IntArrayRef sizes);

// Installs the metatable; `torch` (a table) is on the top of the stack and gets tensor constructors. [-0, +0, m]
void OpenTensor(lua_State* L);

// Indexing: t[i], t[{i, {b, e}}], t[mask], and assignment. [-0, +1, e] and [-0, +0, e]
at::Tensor IndexTensor(lua_State* L, const at::Tensor& tensor, int key);
void AssignTensor(lua_State* L, const at::Tensor& tensor, int key, int value);

// Scopes (torch.scope and the trainer's step): everything pushed between Begin and End is freed at End but what was
// kept. Values between `first` and the stack's top (tables included) are kept too, in the enclosing scope.
int32_t BeginScope(lua_State* L);
void EndScope(lua_State* L, int32_t scope, int first_kept);
void KeepValue(lua_State* L, int index);

// A scope that also ends when an error passes; End keeps the values from `first_kept` on (0: none).
class ScopeGuard {
 public:
  explicit ScopeGuard(lua_State* L) : L_(L), scope_(BeginScope(L)) {}
  ~ScopeGuard() {
    if (scope_ != 0) EndScope(L_, scope_, 0);
  }
  ScopeGuard(const ScopeGuard&) = delete;
  ScopeGuard& operator=(const ScopeGuard&) = delete;
  void End(int first_kept) { EndScope(L_, std::exchange(scope_, 0), first_kept); }

 private:
  lua_State* L_;
  int32_t scope_;
};
void ForgetBox(TensorBox* box);

// Tensor bytes above which the boundary collects garbage; grows when most of it survives.
void CollectIfNeeded(lua_State* L);

}  // namespace lanthorn::lua
