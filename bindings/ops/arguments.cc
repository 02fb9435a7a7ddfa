// Reading Lua values by a signature: what fits at which cost, and the conversion itself.
#include <ATen/core/Generator.h>
#include <ATen/ops/scalar_tensor.h>
#include <c10/core/Layout.h>
#include <c10/core/MemoryFormat.h>
#include <c10/core/ScalarType.h>

#include <cmath>

#include "absl/strings/str_cat.h"
#include "bindings/lua/userdata.h"
#include "bindings/ops/generator.h"
#include "bindings/ops/schema.h"
#include "bindings/tensor/tensor.h"
#include "engine/base/status.h"
#include "engine/base/text/nearest.h"
#include "engine/base/torch_compat.h"
#include "engine/device/device.h"

namespace lanthorn::lua {
namespace {

constexpr std::pair<const char*, c10::ScalarType> kDtypes[] = {{"float32", c10::kFloat},
                                                               {"float64", c10::kDouble},
                                                               {"float16", c10::kHalf},
                                                               {"bfloat16", c10::kBFloat16},
                                                               {"int64", c10::kLong},
                                                               {"int32", c10::kInt},
                                                               {"int16", c10::kShort},
                                                               {"int8", c10::kChar},
                                                               {"uint8", c10::kByte},
                                                               {"bool", c10::kBool},
                                                               {"complex64", c10::kComplexFloat},
                                                               {"complex128", c10::kComplexDouble},
                                                               {"float", c10::kFloat},
                                                               {"double", c10::kDouble},
                                                               {"half", c10::kHalf},
                                                               {"long", c10::kLong},
                                                               {"int", c10::kInt},
                                                               {"short", c10::kShort}};
constexpr std::pair<const char*, c10::MemoryFormat> kMemoryFormats[] = {
    {"contiguous_format", c10::MemoryFormat::Contiguous},
    {"preserve_format", c10::MemoryFormat::Preserve},
    {"channels_last", c10::MemoryFormat::ChannelsLast}};
constexpr std::pair<const char*, c10::Layout> kLayouts[] = {{"strided", c10::kStrided}, {"sparse_coo", c10::kSparse}};

// Costs of conversions: an exact type wins over a wider one, a number as Scalar wins over a number as 0-d tensor.
constexpr int kNoFit = -1, kExact = 0, kWidened = 1, kPacked = 2, kAsTensor = 8;

bool LooksLikeDevice(const std::string& name) {
  return name == "cpu" || name == "meta" || name == "auto" || name.rfind("cuda", 0) == 0 || name.rfind("mps", 0) == 0;
}

template <typename T, size_t N>
bool Lookup(const std::pair<const char*, T> (&table)[N], const std::string& name, T* value) {
  for (const auto& [key, item] : table) {
    if (name == key) return *value = item, true;
  }
  return false;
}

int ElementCost(lua_State* L, int index, const Parameter& parameter) {
  const int type = lua_type(L, index);
  int64_t number = 0;
  switch (parameter.kind) {
    case Kind::kTensor:
      if (IsTensor(L, index)) return kExact;
      return type == LUA_TNUMBER || type == LUA_TBOOLEAN ? kAsTensor : kNoFit;
    case Kind::kScalar:
      return type == LUA_TNUMBER ? kWidened : type == LUA_TBOOLEAN ? kPacked : kNoFit;
    case Kind::kInt:
      if (parameter.words != nullptr && type == LUA_TSTRING)
        return ReadWord(*parameter.words, lua_tostring(L, index), &number) ? kExact : kNoFit;
      return IsInteger(L, index) ? kExact : kNoFit;
    case Kind::kFloat:
      return type == LUA_TNUMBER ? (IsInteger(L, index) ? kWidened : kExact) : kNoFit;
    case Kind::kBool:
      return type == LUA_TBOOLEAN ? kExact : kNoFit;
    case Kind::kGenerator:
      return HasType(L, index, TypeName<Generator>::kName) ? kExact : kNoFit;
    default:
      break;
  }
  if (type != LUA_TSTRING) return kNoFit;
  const std::string text = lua_tostring(L, index);
  c10::ScalarType dtype;
  c10::Layout layout;
  c10::MemoryFormat format;
  switch (parameter.kind) {
    case Kind::kString:
      return kWidened;
    case Kind::kDtype:
      return ParseDtype(text, &dtype) ? kExact : kNoFit;
    case Kind::kDevice:
      return LooksLikeDevice(text) ? kExact : kNoFit;
    case Kind::kLayout:
      return Lookup(kLayouts, text, &layout) ? kExact : kNoFit;
    case Kind::kMemoryFormat:
      return Lookup(kMemoryFormats, text, &format) ? kExact : kNoFit;
    default:
      return kNoFit;
  }
}

int ValueCost(lua_State* L, int index, const Parameter& parameter) {
  if (lua_isnoneornil(L, index)) return parameter.optional ? kExact : kNoFit;
  if (parameter.kind == Kind::kUnsupported) return kNoFit;
  if (!parameter.list) return ElementCost(L, index, parameter);
  if (lua_istable(L, index)) {
    const int length = static_cast<int>(lua_objlen(L, index));
    int worst = kExact;
    for (int i = 1; i <= length; ++i) {
      lua_rawgeti(L, index, i);
      const int cost = ElementCost(L, lua_gettop(L), parameter);
      lua_pop(L, 1);
      if (cost == kNoFit || cost == kAsTensor) return kNoFit;
      worst = std::max(worst, cost);
    }
    return worst;
  }
  // int[1] takes a plain int, as in PyTorch; so does int[2] (stride=2 means {2, 2}).
  if (parameter.fixed_size > 0 && parameter.kind != Kind::kTensor) {
    const int cost = ElementCost(L, index, parameter);
    return cost == kNoFit ? kNoFit : kPacked;
  }
  return kNoFit;
}

c10::Scalar ReadScalar(lua_State* L, int index) {
  if (lua_isboolean(L, index)) return c10::Scalar(lua_toboolean(L, index) != 0);
  if (IsInteger(L, index)) return c10::Scalar(static_cast<int64_t>(lua_tonumber(L, index)));
  return c10::Scalar(static_cast<double>(lua_tonumber(L, index)));
}

at::Tensor ReadTensor(lua_State* L, int index, const Parameter& parameter) {
  if (const TensorBox* box = ToTensorBox(L, index)) {
    return box->freed ? CheckTensor(L, index, parameter.name.c_str()) : box->tensor;
  }
  const c10::Scalar value = ReadScalar(L, index);
  at::Tensor tensor = at::scalar_tensor(value, at::TensorOptions(value.type()));
  tensor.unsafeGetTensorImpl()->set_wrapped_number(true);  // takes part in type promotion as a number does
  return tensor;
}

c10::IValue ReadElement(lua_State* L, int index, const Parameter& parameter) {
  c10::ScalarType dtype = c10::kFloat;
  c10::Layout layout = c10::kStrided;
  c10::MemoryFormat format = c10::MemoryFormat::Contiguous;
  switch (parameter.kind) {
    case Kind::kTensor:
      return ReadTensor(L, index, parameter);
    case Kind::kScalar:
      return ReadScalar(L, index);
    case Kind::kInt: {
      int64_t number = 0;
      if (parameter.words != nullptr && lua_type(L, index) == LUA_TSTRING)
        return ReadWord(*parameter.words, lua_tostring(L, index), &number), number;
      return static_cast<int64_t>(lua_tonumber(L, index));
    }
    case Kind::kFloat:
      return static_cast<double>(lua_tonumber(L, index));
    case Kind::kBool:
      return lua_toboolean(L, index) != 0;
    case Kind::kString:
      return std::string(lua_tostring(L, index));
    case Kind::kDevice:
      return Value(device::Resolve(lua_tostring(L, index)));
    case Kind::kDtype:
      ParseDtype(lua_tostring(L, index), &dtype);
      return dtype;
    case Kind::kLayout:
      Lookup(kLayouts, lua_tostring(L, index), &layout);
      return layout;
    case Kind::kMemoryFormat:
      Lookup(kMemoryFormats, lua_tostring(L, index), &format);
      return format;
    case Kind::kGenerator:
      return ToObject<Generator>(L, index)->generator;
    case Kind::kUnsupported:
      break;
  }
  throw UsageError("argument '" + parameter.name + "': type " + parameter.type + " cannot be given from Lua");
}

// A typed list from `length` elements, each brought by `read(i)`.
template <typename Reader>
c10::IValue MakeList(const Parameter& parameter, int length, Reader&& read) {
  switch (parameter.kind) {
    case Kind::kTensor:
      if (parameter.optional_element) {
        c10::List<compat::Optional<at::Tensor>> list;
        list.reserve(length);
        for (int i = 0; i < length; ++i) list.push_back(read(i).toTensor());
        return list;
      } else {
        c10::List<at::Tensor> list;
        list.reserve(length);
        for (int i = 0; i < length; ++i) list.push_back(read(i).toTensor());
        return list;
      }
    case Kind::kInt: {
      c10::List<int64_t> list;
      list.reserve(length);
      for (int i = 0; i < length; ++i) list.push_back(read(i).toInt());
      return list;
    }
    case Kind::kFloat: {
      c10::List<double> list;
      list.reserve(length);
      for (int i = 0; i < length; ++i) list.push_back(read(i).toDouble());
      return list;
    }
    case Kind::kBool: {
      c10::List<bool> list;
      list.reserve(length);
      for (int i = 0; i < length; ++i) list.push_back(read(i).toBool());
      return list;
    }
    case Kind::kString: {
      c10::List<std::string> list;
      list.reserve(length);
      for (int i = 0; i < length; ++i) list.push_back(read(i).toStringRef());
      return list;
    }
    default:
      break;
  }
  c10::impl::GenericList list(c10::NumberType::get());
  for (int i = 0; i < length; ++i) list.push_back(read(i));
  return list;
}

c10::IValue ReadValue(lua_State* L, int index, const Parameter& parameter) {
  if (lua_isnoneornil(L, index)) return c10::IValue();
  if (!parameter.list) return ReadElement(L, index, parameter);
  if (!lua_istable(L, index)) {  // one value for a list of fixed size
    return MakeList(parameter, parameter.fixed_size, [&](int) { return ReadElement(L, index, parameter); });
  }
  return MakeList(parameter, static_cast<int>(lua_objlen(L, index)), [&](int i) {
    lua_rawgeti(L, index, i + 1);
    c10::IValue value = ReadElement(L, lua_gettop(L), parameter);
    lua_pop(L, 1);
    return value;
  });
}

// view(2, 3): integers from position `at` on make up an int list that is the last positional parameter.
bool PacksIntegers(const Call& call, const Signature& signature, size_t at) {
  const Parameter& parameter = signature.parameters[at];
  if (!parameter.list || parameter.kind != Kind::kInt || static_cast<int>(at) >= call.count) return false;
  for (int i = static_cast<int>(at); i < call.count; ++i) {
    if (!IsInteger(call.L, call.first + i)) return false;
  }
  return call.count - static_cast<int>(at) > 1 || parameter.fixed_size == 0;
}

// Where the value of parameter `at` lies: its stack index, or 0. A keyword is pushed onto the stack. [-0, +(0|1), -]
int Locate(const Call& call, const Signature& signature, size_t at) {
  if (at < signature.positional && static_cast<int>(at) < call.count) return call.first + static_cast<int>(at);
  if (call.keywords == 0) return 0;
  lua_getfield(call.L, call.keywords, signature.parameters[at].name.c_str());
  return lua_isnil(call.L, -1) ? 0 : lua_gettop(call.L);
}

// "; did you mean 'float32'?" for a string where a dtype or one of a few words was wanted.
std::string NearestWord(lua_State* L, int index, const Parameter& parameter) {
  if (lua_type(L, index) != LUA_TSTRING) return "";
  std::vector<std::string> names;
  if (parameter.kind == Kind::kDtype) {
    for (const auto& [name, value] : kDtypes) names.push_back(name);
  }
  if (parameter.words != nullptr) {
    for (const auto& [word, number] : *parameter.words) names.push_back(word);
  }
  return names.empty() ? "" : DidYouMean(lua_tostring(L, index), names);
}

bool UnknownKeyword(const Call& call, const Signature& signature, std::string* name) {
  bool unknown = false;
  lua_pushnil(call.L);
  while (lua_next(call.L, call.keywords) != 0) {
    lua_pop(call.L, 1);
    if (lua_type(call.L, -1) != LUA_TSTRING) continue;
    const std::string key = lua_tostring(call.L, -1);
    bool found = key == "requires_grad";  // applied to the result, as the Python front end does
    for (size_t i = 0; i < signature.parameters.size() && !found; ++i) {
      found = signature.parameters[i].name == key && !(i < signature.positional && static_cast<int>(i) < call.count);
    }
    if (!found) {
      *name = key;
      unknown = true;
      lua_pop(call.L, 1);
      break;
    }
  }
  return unknown;
}

}  // namespace

bool IsInteger(lua_State* L, int index) {
  if (lua_type(L, index) != LUA_TNUMBER) return false;
  const double value = lua_tonumber(L, index);
  return std::floor(value) == value && std::abs(value) <= 9007199254740992.0;
}

bool ParseDtype(const std::string& name, c10::ScalarType* type) {
  return Lookup(kDtypes, name.rfind("torch.", 0) == 0 ? name.substr(6) : name, type);
}

int MatchCost(const Call& call, const Signature& signature, std::string* why) {
  const int top = lua_gettop(call.L);
  std::string unknown;
  if (call.keywords != 0 && UnknownKeyword(call, signature, &unknown)) {
    if (why != nullptr) {
      std::vector<std::string> names;
      for (const Parameter& parameter : signature.parameters) names.push_back(parameter.name);
      *why = "has no argument '" + unknown + "'" + DidYouMean(unknown, names);
    }
    return kNoFit;
  }
  int total = 0;
  bool packed = false;
  for (size_t i = 0; i < signature.parameters.size(); ++i) {
    const Parameter& parameter = signature.parameters[i];
    if (i + 1 == signature.positional && PacksIntegers(call, signature, i)) {
      packed = true;
      total += kPacked;
      continue;
    }
    const int index = Locate(call, signature, i);
    int cost = kExact;
    if (index == 0) {
      if (!parameter.has_default) {
        if (why != nullptr) *why = "argument '" + parameter.name + "' (" + parameter.type + ") is missing";
        cost = kNoFit;
      }
    } else {
      cost = ValueCost(call.L, index, parameter);
      if (cost == kNoFit && why != nullptr) {
        const std::string words = parameter.words != nullptr ? " or " + WordsOf(*parameter.words) : "";
        *why = "argument '" + parameter.name + "' must be " + parameter.type + words + ", got " +
               Describe(call.L, index) + NearestWord(call.L, index, parameter);
      }
    }
    lua_settop(call.L, top);
    if (cost == kNoFit) return kNoFit;
    total += cost;
  }
  if (!packed && call.count > static_cast<int>(signature.positional)) {
    if (why != nullptr) {
      *why = absl::StrCat("takes ", signature.positional, " positional argument", signature.positional == 1 ? "" : "s",
                          ", got ", call.count);
    }
    return kNoFit;
  }
  return total;
}

void ReadArguments(const Call& call, const Signature& signature, std::vector<c10::IValue>* values) {
  const int top = lua_gettop(call.L);
  values->clear();
  values->reserve(signature.parameters.size());
  for (size_t i = 0; i < signature.parameters.size(); ++i) {
    const Parameter& parameter = signature.parameters[i];
    if (i + 1 == signature.positional && PacksIntegers(call, signature, i)) {
      const int base = call.first + static_cast<int>(i);
      values->push_back(MakeList(parameter, call.count - static_cast<int>(i),
                                 [&](int k) { return ReadElement(call.L, base + k, parameter); }));
      continue;
    }
    const int index = Locate(call, signature, i);
    values->push_back(index == 0 ? parameter.default_value : ReadValue(call.L, index, parameter));
    if (call.keywords != 0) lua_settop(call.L, top);
  }
}

int PushValue(lua_State* L, const c10::IValue& value) {
  if (value.isTensor()) {
    PushTensor(L, value.toTensor());
  } else if (value.isBool()) {
    lua_pushboolean(L, value.toBool());
  } else if (value.isInt()) {
    lua_pushnumber(L, static_cast<double>(value.toInt()));
  } else if (value.isDouble()) {
    lua_pushnumber(L, value.toDouble());
  } else if (value.isScalar()) {
    const c10::Scalar scalar = value.toScalar();
    scalar.isBoolean() ? lua_pushboolean(L, scalar.toBool()) : lua_pushnumber(L, scalar.toDouble());
  } else if (value.isString()) {
    lua_pushlstring(L, value.toStringRef().data(), value.toStringRef().size());
  } else if (value.isDevice()) {
    lua_pushstring(L, value.toDevice().str().c_str());
  } else if (value.isList()) {
    const auto items = value.toListRef();
    lua_createtable(L, static_cast<int>(items.size()), 0);
    for (size_t i = 0; i < items.size(); ++i) {
      PushValue(L, items[i]);
      lua_rawseti(L, -2, static_cast<int>(i) + 1);
    }
  } else if (value.isTuple()) {
    for (const c10::IValue& element : value.toTupleRef().elements()) PushValue(L, element);
    return static_cast<int>(value.toTupleRef().elements().size());
  } else if (value.isNone()) {
    lua_pushnil(L);
  } else {
    throw UsageError("a result of type " + value.tagKind() + " cannot be given to Lua");
  }
  return 1;
}

}  // namespace lanthorn::lua
