// torch.tensor: a tensor from numbers, booleans and nested tables of them. Nothing is lost on the way: a table with
// holes or uneven rows, and a number that the dtype cannot hold, are errors that name the place.
#include <ATen/Dispatch.h>
#include <ATen/Functions.h>

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bindings/lua/userdata.h"
#include "bindings/ops/schema.h"
#include "bindings/tensor/tensor.h"

namespace lanthorn::lua {
namespace {

constexpr double kExact = 9007199254740992.0;  // 2^53: above it whole numbers of Lua are not exact

struct Leaves {
  std::vector<int64_t> shape;
  std::vector<double> values;
  bool booleans = false, numbers = false;
};

class Reader {
 public:
  explicit Reader(lua_State* L) : L_(L) {}

  // The value at `index`, a table or a leaf. `options`: string keys of this table are not its own.
  void Read(int index, size_t depth, bool options, Leaves* leaves) {
    if (!lua_istable(L_, index)) return Leaf(index, depth, leaves);
    const int length = Length(index, options);
    if (depth == leaves->shape.size()) {
      if (!leaves->values.empty()) Fail("has rows of different depths");
      leaves->shape.push_back(length);
    } else if (leaves->shape[depth] != length) {
      Fail(absl::StrCat("has ", length, " entries where others have ", leaves->shape[depth]));
    }
    luaL_checkstack(L_, 4, "torch.tensor: nested too deeply");
    for (int i = 1; i <= length; ++i) {
      place_.push_back(i);
      lua_rawgeti(L_, index, i);
      Read(lua_gettop(L_), depth + 1, /*options=*/false, leaves);
      lua_pop(L_, 1);
      place_.pop_back();
    }
  }

  // Raises when `dtype` cannot hold one of the values as it is.
  void CheckDtype(const Leaves& leaves, c10::ScalarType dtype) {
    const bool whole = c10::isIntegralType(dtype, /*includeBool=*/false);
    double low = -INFINITY, high = INFINITY;
    if (whole) {
      AT_DISPATCH_INTEGRAL_TYPES(dtype, "torch.tensor", [&] {
        low = static_cast<double>(std::numeric_limits<scalar_t>::min());
        high = static_cast<double>(std::numeric_limits<scalar_t>::max());
      });
      low = std::max(low, -kExact);
      high = std::min(high, kExact);
    } else if (dtype == c10::kFloat) {
      high = static_cast<double>(std::numeric_limits<float>::max());
    } else if (dtype == c10::kHalf) {
      high = 65504;
    }
    for (size_t i = 0; i < leaves.values.size(); ++i) {
      const double value = leaves.values[i];
      const bool fits = whole ? value >= low && value <= high && std::floor(value) == value
                              : std::abs(value) <= high || !std::isfinite(value);
      if (fits) continue;
      place_.clear();
      for (size_t d = leaves.shape.size(), rest = i; d-- > 0;) {
        const auto size = static_cast<size_t>(leaves.shape[d]);
        place_.insert(place_.begin(), static_cast<int>(rest % size) + 1);
        rest /= size;
      }
      const bool inexact = whole && std::isfinite(value) && std::floor(value) == value && std::abs(value) > kExact;
      const std::string text = std::isnan(value) ? "nan" : absl::StrFormat("%.17g", value);
      Fail(absl::StrCat("is ", text, ", which ", DtypeName(dtype), " does not hold",
                        inexact ? ": above 2^53 whole numbers of Lua are not exact" : ""));
    }
  }

 private:
  [[noreturn]] void Fail(const std::string& what) const {
    std::string place = "data";
    for (const int i : place_) absl::StrAppend(&place, "[", i, "]");
    throw UsageError("torch.tensor: " + place + " " + what);
  }

  void Leaf(int index, size_t depth, Leaves* leaves) {
    if (depth != leaves->shape.size()) Fail("has rows of different depths");
    const bool boolean = lua_isboolean(L_, index);
    if (!boolean && lua_type(L_, index) != LUA_TNUMBER)
      Fail("must be a number or a boolean, got " + Describe(L_, index));
    (boolean ? leaves->booleans : leaves->numbers) = true;
    if (leaves->booleans && leaves->numbers)
      Fail("is a " + std::string(boolean ? "boolean among numbers" : "number among booleans"));
    leaves->values.push_back(boolean ? lua_toboolean(L_, index) : lua_tonumber(L_, index));
  }

  // The entries of a list; whatever else the table holds is an error.
  int Length(int index, bool options) {
    const int length = static_cast<int>(lua_objlen(L_, index));
    lua_pushnil(L_);
    int entries = 0;
    while (lua_next(L_, index) != 0) {
      lua_pop(L_, 1);
      const bool number = lua_type(L_, -1) == LUA_TNUMBER;
      if (number) {
        ++entries;
      } else if (!options || lua_type(L_, -1) != LUA_TSTRING) {
        Fail("is a table with the key " + Describe(L_, lua_gettop(L_)) + ", expected a list");
      }
    }
    for (int i = 1; i <= std::max(length, entries); ++i) {
      lua_rawgeti(L_, index, i);
      const bool hole = lua_isnil(L_, -1);
      lua_pop(L_, 1);
      if (hole) Fail(absl::StrCat("has no entry ", i, ", but has later ones"));
    }
    return length;
  }

  lua_State* L_;
  std::vector<int> place_;
};

Signature OptionsOfTensor() {
  Signature signature;
  for (auto [name, kind] :
       {std::pair{"dtype", Kind::kDtype}, {"device", Kind::kDevice}, {"requires_grad", Kind::kBool}}) {
    Parameter parameter;
    parameter.name = name;
    parameter.kind = kind;
    parameter.optional = parameter.has_default = parameter.keyword_only = true;
    parameter.type = kind == Kind::kDtype ? "dtype" : kind == Kind::kDevice ? "device" : "bool";
    signature.parameters.push_back(parameter);
  }
  return signature;
}

}  // namespace

int NewTensor(lua_State* L) {
  static const Signature options = OptionsOfTensor();
  lua_settop(L, 2);
  const bool keywords = lua_istable(L, 2);
  if (!lua_istable(L, 1) && !lua_isboolean(L, 1) && lua_type(L, 1) != LUA_TNUMBER)
    throw UsageError("torch.tensor: expected a number, a boolean or nested tables of them, got " + Describe(L, 1));
  Leaves leaves;
  Reader reader(L);
  reader.Read(1, 0, /*options=*/!keywords, &leaves);  // torch.tensor{1, 2, dtype='int64'}
  c10::ScalarType dtype = leaves.booleans ? c10::kBool : c10::kFloat;
  c10::Device device(c10::DeviceType::CPU);
  bool requires_grad = false;
  Call call{L, 3, 0};
  if (keywords) {
    call.keywords = 2;
  } else if (lua_istable(L, 1)) {
    call.keywords = 1;
  }
  if (call.keywords != 0) {
    std::string why;
    if (MatchCost(call, options, &why) < 0)
      throw UsageError("torch.tensor(data, {dtype=, device=, requires_grad=}): " + why);
    std::vector<c10::IValue> given;
    ReadArguments(call, options, &given);
    if (!given[0].isNone()) dtype = given[0].toScalarType();
    if (!given[1].isNone()) device = given[1].toDevice();
    requires_grad = given[2].isBool() && given[2].toBool();
  }
  reader.CheckDtype(leaves, dtype);
  at::Tensor tensor = at::empty(leaves.shape, at::TensorOptions(c10::kDouble));
  std::copy(leaves.values.begin(), leaves.values.end(), tensor.data_ptr<double>());
  tensor = tensor.to(at::TensorOptions(device).dtype(dtype));
  if (requires_grad) tensor.set_requires_grad(true);
  PushTensor(L, tensor);
  return 1;
}

}  // namespace lanthorn::lua
