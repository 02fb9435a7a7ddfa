// Indexing as in PyTorch: 0-based, ends excluded, negative counts from the end.
//
//   t[1]  t[-1]               one row (a 0-d tensor of a vector)
//   t[{0, {1, 3}}]            row 0, columns 1 and 2; {1} from 1 on, {} all, {0, 6, 2} every second
//   t[mask]  t[ids]           by a bool or integer tensor
//   t[{}]                     all of it
//   t[{'...', 0}]             the ellipsis; torch.newaxis adds a dimension
#include <ATen/TensorIndexing.h>
#include <ATen/ops/scalar_tensor.h>

#include <cmath>

#include "bindings/lua/userdata.h"
#include "bindings/tensor/tensor.h"
#include "engine/base/torch_compat.h"

namespace lanthorn::lua {
namespace {

using at::indexing::TensorIndex;

int64_t CheckInteger(lua_State* L, int index) {
  const double value = lua_type(L, index) == LUA_TNUMBER ? lua_tonumber(L, index) : NAN;
  if (std::floor(value) != value || std::abs(value) > 9007199254740992.0)
    throw UsageError("tensor index: expected an integer, got " + Describe(L, index));
  return static_cast<int64_t>(value);
}

at::indexing::Slice ReadSlice(lua_State* L, int index) {
  const int length = static_cast<int>(lua_objlen(L, index));
  if (length > 3)
    throw UsageError("tensor index: a range is {first, end, step}, got a table of " + std::to_string(length));
  compat::Optional<int64_t> part[3];
  for (int i = 0; i < length; ++i) {
    lua_rawgeti(L, index, i + 1);
    part[i] = CheckInteger(L, lua_gettop(L));
    lua_pop(L, 1);
  }
  if (part[2].value_or(1) <= 0) throw UsageError("tensor index: the step of a range must be positive");
  return at::indexing::Slice(part[0].value_or(0), part[1].value_or(INT64_MAX), part[2].value_or(1));
}

TensorIndex ReadIndex(lua_State* L, int index) {
  switch (lua_type(L, index)) {
    case LUA_TNUMBER:
      return TensorIndex(CheckInteger(L, index));
    case LUA_TBOOLEAN:
      return TensorIndex(lua_toboolean(L, index) != 0);
    case LUA_TTABLE:
      return TensorIndex(ReadSlice(L, index));
    case LUA_TSTRING:
      if (std::string(lua_tostring(L, index)) == "...") return TensorIndex(at::indexing::Ellipsis);
      if (std::string(lua_tostring(L, index)) == "newaxis") return TensorIndex(at::indexing::None);
      break;
    case LUA_TUSERDATA: {
      const at::Tensor& tensor = CheckTensor(L, index, "tensor index");
      const bool narrow = tensor.scalar_type() == c10::kInt || tensor.scalar_type() == c10::kShort;
      return TensorIndex(narrow ? tensor.to(c10::kLong) : tensor);
    }
    default:
      break;
  }
  throw UsageError("tensor index: expected an integer, a range {first, end}, a Tensor or '...', got " +
                   Describe(L, index));
}

std::vector<TensorIndex> ReadIndices(lua_State* L, int key) {
  std::vector<TensorIndex> indices;
  if (lua_type(L, key) != LUA_TTABLE) {
    indices.push_back(ReadIndex(L, key));
    return indices;
  }
  const int length = static_cast<int>(lua_objlen(L, key));
  for (int i = 1; i <= length; ++i) {
    lua_rawgeti(L, key, i);
    indices.push_back(ReadIndex(L, lua_gettop(L)));
    lua_pop(L, 1);
  }
  if (indices.empty()) indices.push_back(TensorIndex(at::indexing::Ellipsis));  // t[{}] is all of it
  return indices;
}

}  // namespace

at::Tensor IndexTensor(lua_State* L, const at::Tensor& tensor, int key) { return tensor.index(ReadIndices(L, key)); }

void AssignTensor(lua_State* L, const at::Tensor& tensor, int key, int value) {
  at::Tensor target = tensor;
  if (lua_isboolean(L, value)) {
    target.index_put_(ReadIndices(L, key), at::Scalar(lua_toboolean(L, value) != 0));
  } else if (lua_type(L, value) == LUA_TNUMBER) {
    target.index_put_(ReadIndices(L, key), at::Scalar(static_cast<double>(lua_tonumber(L, value))));
  } else {
    target.index_put_(ReadIndices(L, key), CheckTensor(L, value, "tensor assignment"));
  }
}

}  // namespace lanthorn::lua
