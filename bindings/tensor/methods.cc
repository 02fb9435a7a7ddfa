// Methods and fields of a tensor that are not operators: conversion to Lua, autograd, shape.
#include "bindings/tensor/methods.h"

#include <ATen/Functions.h>
#include <ATen/core/Tensor.h>

#include <cmath>

#include "bindings/lua/typed.h"
#include "bindings/ops/operators.h"
#include "bindings/tensor/tensor.h"
#include "engine/base/text/tensor_format.h"

namespace lanthorn::lua {
namespace {

// A 0-d tensor as a Lua value; integers that a double cannot hold are refused rather than rounded. [-0, +1, -]
void PushElement(lua_State* L, const at::Tensor& element) {
  if (element.is_complex()) throw UsageError("a complex element cannot be a Lua number; use :real() or :imag()");
  if (element.scalar_type() == c10::kBool) {
    lua_pushboolean(L, element.item<bool>());
    return;
  }
  if (c10::isIntegralType(element.scalar_type(), /*includeBool=*/false)) {
    const int64_t value = element.item<int64_t>();
    if (std::abs(value) > (int64_t{1} << 53)) {
      throw UsageError("integer " + std::to_string(value) + " does not fit a Lua number exactly; use tostring(t)");
    }
    lua_pushnumber(L, static_cast<double>(value));
    return;
  }
  lua_pushnumber(L, element.item<double>());
}

int Item(lua_State* L) {
  const at::Tensor& tensor = CheckTensor(L, 1, "item");
  if (tensor.numel() != 1) {
    throw UsageError("item: only a tensor of one element is a number, this is " + TensorLabel(tensor) +
                     "; try :tolist()");
  }
  PushElement(L, tensor.detach().reshape({}));
  return 1;
}

// Nested tables of numbers from contiguous float64, int64 or bool data. [-0, +1, m]
template <typename T, typename Push>
const T* PushNested(lua_State* L, at::IntArrayRef sizes, const T* data, Push push) {
  if (sizes.empty()) {
    push(*data);
    return data + 1;
  }
  luaL_checkstack(L, 4, "tolist: too many dimensions");
  lua_createtable(L, static_cast<int>(sizes[0]), 0);
  for (int64_t i = 0; i < sizes[0]; ++i) {
    data = PushNested(L, sizes.slice(1), data, push);
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  return data;
}

int ToList(lua_State* L) {
  const at::Tensor tensor = CheckTensor(L, 1, "tolist").detach().cpu();
  if (tensor.is_complex()) throw UsageError("tolist: complex elements cannot be Lua numbers; use :real() or :imag()");
  if (tensor.scalar_type() == c10::kBool) {
    const at::Tensor values = tensor.contiguous();
    PushNested(L, values.sizes(), values.data_ptr<bool>(), [L](bool value) { lua_pushboolean(L, value); });
  } else {
    if (c10::isIntegralType(tensor.scalar_type(), false) && tensor.numel() > 0 &&
        tensor.to(c10::kLong).abs().max().item<int64_t>() > (int64_t{1} << 53)) {
      throw UsageError("tolist: integers above 2^53 do not fit Lua numbers exactly");
    }
    const at::Tensor values = tensor.to(c10::kDouble).contiguous();
    PushNested(L, values.sizes(), values.data_ptr<double>(), [L](double value) { lua_pushnumber(L, value); });
  }
  return 1;
}

int64_t CheckDim(lua_State* L, int index, const at::Tensor& tensor) {
  const double value = lua_type(L, index) == LUA_TNUMBER ? lua_tonumber(L, index) : NAN;
  const double rank = static_cast<double>(tensor.dim());
  if (std::floor(value) != value || value < -rank || value >= rank) {
    throw UsageError("size: dimension must be an integer from " + std::to_string(-tensor.dim()) + " to " +
                     std::to_string(tensor.dim() - 1) + ", got " + Describe(L, index));
  }
  return static_cast<int64_t>(value);
}

int Size(lua_State* L) {
  const at::Tensor& tensor = CheckTensor(L, 1, "size");
  if (lua_isnoneornil(L, 2)) {
    PushShape(L, tensor.sizes());
  } else {
    lua_pushnumber(L, static_cast<double>(tensor.size(CheckDim(L, 2, tensor))));
  }
  return 1;
}

int Backward(lua_State* L) {
  const at::Tensor& tensor = CheckTensor(L, 1, "backward");
  if (!tensor.requires_grad()) {
    throw UsageError(
        "backward: this tensor does not require a gradient (no parameter took part in it, or torch.no_grad was on)");
  }
  at::Tensor gradient;
  bool retain = false;
  if (lua_istable(L, 2)) {
    lua_getfield(L, 2, "retain_graph");
    retain = lua_toboolean(L, -1) != 0;
    lua_pop(L, 1);
    lua_getfield(L, 2, "gradient");
    if (!lua_isnil(L, -1)) gradient = CheckTensor(L, lua_gettop(L), "backward: gradient");
    lua_pop(L, 1);
  } else if (!lua_isnoneornil(L, 2)) {
    gradient = CheckTensor(L, 2, "backward: gradient");
  }
  tensor.backward(gradient, retain);
  return 0;
}

int RequiresGrad(lua_State* L) {
  const at::Tensor& tensor = CheckTensor(L, 1, "requires_grad_");
  const bool wanted = lua_isnoneornil(L, 2) || lua_toboolean(L, 2);
  if (wanted && !tensor.is_floating_point() && !tensor.is_complex()) {
    throw UsageError("requires_grad_: only floating-point tensors have gradients, this is " + TensorLabel(tensor));
  }
  tensor.set_requires_grad(wanted);
  lua_settop(L, 1);
  return 1;
}

// x:to('cpu'): ATen has no overload for a device alone.
int To(lua_State* L) {
  static const OperatorSet* set = FindOperator("to");
  c10::ScalarType dtype;
  if (lua_gettop(L) == 2 && lua_type(L, 2) == LUA_TSTRING && !ParseDtype(lua_tostring(L, 2), &dtype)) {
    lua_createtable(L, 0, 1);
    lua_pushvalue(L, 2);
    lua_setfield(L, -2, "device");
    lua_replace(L, 2);
  }
  return CallOperator(L, *set, 1);
}

int64_t Numel(const at::Tensor& self) { return self.numel(); }
int64_t ElementSize(const at::Tensor& self) { return static_cast<int64_t>(self.element_size()); }
int64_t Dim(const at::Tensor& self) { return self.dim(); }
void RetainGrad(const at::Tensor& self) { self.retain_grad(); }
bool IsSame(const at::Tensor& self, const at::Tensor& other) { return self.is_same(other); }
at::Tensor Cpu(const at::Tensor& self) { return self.cpu(); }
template <c10::ScalarType dtype>
at::Tensor Cast(const at::Tensor& self) {
  return self.to(dtype);
}

const std::vector<FunctionRow> kMethods = {
    {"Tensor:item", "() -> number|boolean", "The one element as a Lua value; an integer above 2^53 is an error.",
     &Thunk<&Item>, "torch.tensor(2.5):item()"},
    {"Tensor:tolist", "() -> table", "Nested tables of the elements; a 0-d tensor gives its element.", &Thunk<&ToList>,
     "torch.eye(2):tolist()"},
    {"Tensor:size", "(int? dim=None) -> table|int", "The shape, or the size of one dimension.", &Thunk<&Size>,
     "torch.ones{2, 3}:size(-1)"},
    {"Tensor:numel", "", "Number of elements.", Typed<&Numel>, "torch.ones{2, 3}:numel()"},
    {"Tensor:element_size", "", "Bytes of an element.", Typed<&ElementSize>},
    {"Tensor:dim", "", "Number of dimensions.", Typed<&Dim>, "torch.ones{2, 3}:dim()"},
    {"Tensor:backward", "(Tensor? gradient=None, *, bool retain_graph=False) -> ()",
     "Adds the gradient of this tensor to the grad of every leaf it depends on; `gradient` is needed unless it has one "
     "element.",
     &Thunk<&Backward>, "torch.ones{2, requires_grad=true}:sum():backward()"},
    {"Tensor:requires_grad_", "(bool on=True) -> Tensor", "Whether gradients are recorded for this tensor, in place.",
     &Thunk<&RequiresGrad>, "torch.ones{2}:requires_grad_().requires_grad"},
    {"Tensor:retain_grad", "", "Keeps the grad of a tensor that is not a leaf.", Typed<&RetainGrad>},
    {"Tensor:is_same", "other", "Whether both are one tensor; == tells the same.", Typed<&IsSame>},
    {"Tensor:to", "(str|Tensor target, ...) -> Tensor",
     "The tensor with another dtype or device: t:to('float64'), t:to('cpu'), t:to{dtype='int64'}.", &Thunk<&To>,
     "torch.ones{2}:to('int64').dtype"},
    {"Tensor:cpu", "", "The tensor on the CPU.", Typed<&Cpu>},
    {"Tensor:float", "", "As float32.", Typed<&Cast<c10::kFloat>>},
    {"Tensor:double", "", "As float64.", Typed<&Cast<c10::kDouble>>},
    {"Tensor:half", "", "As float16.", Typed<&Cast<c10::kHalf>>},
    {"Tensor:bfloat16", "", "As bfloat16.", Typed<&Cast<c10::kBFloat16>>},
    {"Tensor:long", "", "As int64.", Typed<&Cast<c10::kLong>>},
    {"Tensor:int", "", "As int32.", Typed<&Cast<c10::kInt>>},
    {"Tensor:bool", "", "As bool: whether an element is not zero.", Typed<&Cast<c10::kBool>>},
};

}  // namespace

bool PushField(lua_State* L, const at::Tensor& tensor, const std::string& name) {
  if (name == "shape") {
    PushShape(L, tensor.sizes());
  } else if (name == "dtype") {
    lua_pushstring(L, DtypeName(tensor.scalar_type()).c_str());
  } else if (name == "device") {
    lua_pushstring(L, tensor.device().str().c_str());
  } else if (name == "grad") {
    PushTensor(L, tensor.is_leaf() || tensor.retains_grad() ? tensor.grad() : at::Tensor());
  } else if (name == "requires_grad") {
    lua_pushboolean(L, tensor.requires_grad());
  } else if (name == "is_leaf") {
    lua_pushboolean(L, tensor.is_leaf());
  } else if (name == "ndim") {
    lua_pushnumber(L, static_cast<double>(tensor.dim()));
  } else if (name == "T") {
    PushTensor(L, tensor.t());
  } else {
    return false;
  }
  return true;
}

bool SetField(lua_State* L, const at::Tensor& tensor, const std::string& name, int value) {
  if (name == "grad") {
    tensor.mutable_grad() = lua_isnil(L, value) ? at::Tensor() : CheckTensor(L, value, "grad");
  } else if (name == "requires_grad") {
    tensor.set_requires_grad(lua_toboolean(L, value) != 0);
  } else {
    return false;
  }
  return true;
}

std::vector<std::string> FieldNames() {
  std::vector<std::string> names = {"shape", "dtype", "device", "grad", "requires_grad", "is_leaf", "ndim", "T"};
  for (const FunctionRow& row : kMethods) names.push_back(row.name + sizeof("Tensor:") - 1);
  return names;
}

void RegisterMethods(lua_State* L) { RegisterRows(L, "torch", kMethods); }

}  // namespace lanthorn::lua
