#include "bindings/ops/schema.h"

#include <ATen/core/jit_type.h>

#include "absl/strings/str_join.h"
#include "bindings/lua/userdata.h"

namespace lanthorn::lua {
namespace {

Kind KindOf(const c10::Type& type) {
  switch (type.kind()) {
    case c10::TypeKind::TensorType:
      return Kind::kTensor;
    case c10::TypeKind::NumberType:
      return Kind::kScalar;
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType:
      return Kind::kInt;
    case c10::TypeKind::FloatType:
      return Kind::kFloat;
    case c10::TypeKind::BoolType:
      return Kind::kBool;
    case c10::TypeKind::StringType:
      return Kind::kString;
    case c10::TypeKind::DeviceObjType:
      return Kind::kDevice;
    case c10::TypeKind::ScalarTypeType:
      return Kind::kDtype;
    case c10::TypeKind::LayoutType:
      return Kind::kLayout;
    case c10::TypeKind::MemoryFormatType:
      return Kind::kMemoryFormat;
    case c10::TypeKind::GeneratorType:
      return Kind::kGenerator;
    default:
      return Kind::kUnsupported;
  }
}

void ReadType(const c10::TypePtr& type, Parameter* parameter) {
  if (auto optional = type->cast<c10::OptionalType>()) {
    (parameter->list ? parameter->optional_element : parameter->optional) = true;
    ReadType(optional->getElementType(), parameter);
  } else if (auto list = type->cast<c10::ListType>()) {
    if (parameter->list) return;  // a list of lists stays unsupported
    parameter->list = true;
    ReadType(list->getElementType(), parameter);
  } else {
    parameter->kind = KindOf(*type);
  }
}

}  // namespace

Signature ReadSignature(const c10::FunctionSchema& schema) {
  Signature signature;
  for (const c10::Argument& argument : schema.arguments()) {
    Parameter parameter;
    parameter.name = argument.name();
    parameter.type = argument.real_type()->str();
    ReadType(argument.real_type(), &parameter);
    parameter.fixed_size = argument.N().value_or(0);
    parameter.keyword_only = argument.kwarg_only();
    parameter.out = argument.is_out();
    parameter.has_default = argument.default_value().has_value();
    if (parameter.has_default) parameter.default_value = *argument.default_value();
    if (parameter.kind == Kind::kInt) parameter.words = FindEnumeration(schema.name(), parameter.name);
    if (!parameter.keyword_only) ++signature.positional;
    if (argument.alias_info() && argument.alias_info()->isWrite()) signature.mutates = true;
    signature.parameters.push_back(std::move(parameter));
  }
  return signature;
}

Call SplitArguments(lua_State* L, int first) {
  Call call{L, first, std::max(0, lua_gettop(L) - first + 1)};
  const int last = lua_gettop(L);
  if (call.count == 0 || lua_type(L, last) != LUA_TTABLE) return call;
  bool has_string_key = false;
  lua_pushnil(L);
  while (lua_next(L, last) != 0) {
    lua_pop(L, 1);
    if (lua_type(L, -1) == LUA_TSTRING) {
      has_string_key = true;
      lua_pop(L, 1);
      break;
    }
  }
  if (!has_string_key) return call;
  call.keywords = last;
  if (lua_objlen(L, last) > 0) {
    call.list_in_keywords = true;
  } else {
    --call.count;
  }
  return call;
}

std::string DescribeCall(const Call& call) {
  std::vector<std::string> parts;
  for (int i = 0; i < call.count; ++i) {
    const int index = call.first + i;
    if (lua_istable(call.L, index) && index != call.keywords) {
      std::vector<std::string> items;
      const int length = static_cast<int>(lua_objlen(call.L, index));
      for (int k = 1; k <= std::min(length, 6); ++k) {
        lua_rawgeti(call.L, index, k);
        items.push_back(Describe(call.L, lua_gettop(call.L)));
        lua_pop(call.L, 1);
      }
      if (length > 6) items.push_back("...");
      parts.push_back("{" + absl::StrJoin(items, ", ") + "}");
    } else {
      parts.push_back(Describe(call.L, index));
    }
  }
  if (call.keywords != 0) {
    std::vector<std::string> named;
    lua_pushnil(call.L);
    while (lua_next(call.L, call.keywords) != 0) {
      if (lua_type(call.L, -2) == LUA_TSTRING) {
        named.push_back(std::string(lua_tostring(call.L, -2)) + "=" + Describe(call.L, lua_gettop(call.L)));
      }
      lua_pop(call.L, 1);
    }
    std::sort(named.begin(), named.end());
    parts.insert(parts.end(), named.begin(), named.end());
  }
  return "(" + absl::StrJoin(parts, ", ") + ")";
}

}  // namespace lanthorn::lua
