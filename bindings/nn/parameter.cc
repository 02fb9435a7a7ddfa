// nn.Parameter and nn.Buffer: tensors that a module takes as its own when a field is set to them.
#include <ATen/Functions.h>

#include "absl/strings/str_join.h"
#include "bindings/lua/function.h"
#include "bindings/nn/module.h"
#include "bindings/ops/function_call.h"

namespace lanthorn::lua {
namespace {

// Whether the call's first value, given as such or as a list's first entry, is a tensor. [-0, +0, -]
bool BeginsWithTensor(lua_State* L) {
  if (!lua_istable(L, 1)) return IsTensor(L, 1);
  lua_rawgeti(L, 1, 1);
  const bool found = IsTensor(L, lua_gettop(L));
  lua_pop(L, 1);
  return found;
}

// Values from a tensor, whose memory they share, or zeros of the sizes given.
at::Tensor ReadValues(const std::string& who, const c10::IValue& given) {
  if (given.isTensor()) return given.toTensor().detach();
  const std::vector<int64_t> sizes = given.toIntVector();
  for (const int64_t size : sizes) {
    if (size < 0) throw UsageError(who + ": sizes must not be negative, got {" + absl::StrJoin(sizes, ", ") + "}");
  }
  return at::zeros(sizes);
}

int Push(lua_State* L, const at::Tensor& tensor, Membership membership) {
  PushMember(L, tensor, membership);
  ToTensorBox(L, lua_gettop(L))->created_order = static_cast<uint32_t>(nn::NextCreatedOrder());
  return 1;
}

int NewParameter(lua_State* L) {
  static const NamedSignature of_tensor = ParseSignature("Parameter(Tensor data, bool requires_grad=True)"),
                              of_sizes = ParseSignature("Parameter(int[] size, *, bool requires_grad=True)");
  const std::vector<c10::IValue> a = ReadCall(L, 1, BeginsWithTensor(L) ? of_tensor : of_sizes, "nn.");
  at::Tensor values = ReadValues("nn.Parameter", a[0]);
  if (a[1].toBool() && !values.is_floating_point() && !values.is_complex())
    throw UsageError("nn.Parameter: only floating-point tensors are trained, got " + TensorLabel(values) +
                     "; use nn.Buffer, or requires_grad=false");
  return Push(L, values.set_requires_grad(a[1].toBool()), Membership::kParameter);
}

int NewBuffer(lua_State* L) {
  static const NamedSignature of_tensor = ParseSignature("Buffer(Tensor data)"),
                              of_sizes = ParseSignature("Buffer(int[] size)");
  const std::vector<c10::IValue> a = ReadCall(L, 1, BeginsWithTensor(L) ? of_tensor : of_sizes, "nn.");
  return Push(L, ReadValues("nn.Buffer", a[0]), Membership::kBuffer);
}

const std::vector<FunctionRow> kRows = {
    {"Parameter", "(Tensor|int... data, *, bool requires_grad=True) -> Tensor",
     "A tensor that a module owns once it is assigned to one of its fields: it is among parameters(), in the state "
     "dict, moved by to() and trained. From a tensor, whose memory it shares, or zeros of the sizes given.",
     &Thunk<&NewParameter>, "nn.Parameter{2, 3}"},
    {"Buffer", "(Tensor|int... data) -> Tensor",
     "A tensor that a module owns once it is assigned to one of its fields: in the state dict and moved by to(), but "
     "not trained. From a tensor, whose memory it shares, or zeros of the sizes given.",
     &Thunk<&NewBuffer>, "nn.Buffer(torch.arange(4))"},
};

}  // namespace

void RegisterParameters(lua_State* L) { RegisterRows(L, "nn", kRows); }

}  // namespace lanthorn::lua
