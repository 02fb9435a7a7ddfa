// The key of a call: a byte for each argument's kind, and what of its value the choice of an overload depends on.
//
//   argument = nil | boolean | whole | fractional | tensor | string length bytes | list kind
//   key      = argument* [keywords (length bytes argument)*]
#include "bindings/ops/schema.h"
#include "bindings/tensor/tensor.h"

namespace lanthorn::lua {
namespace {

constexpr char kNil = 1, kBoolean = 2, kWhole = 3, kFractional = 4, kTensor = 5, kString = 6, kList = 7, kKeywords = 8;
constexpr size_t kLongestText = 40;

}  // namespace

bool CallKey::Add(char byte) {
  if (size_ == kMost) return false;
  bytes_[size_++] = byte;
  return true;
}

bool CallKey::AddText(lua_State* L, int index) {
  size_t length = 0;
  const char* text = lua_tolstring(L, index, &length);
  if (length > kLongestText || size_ + length + 1 > kMost) return false;
  bytes_[size_++] = static_cast<char>(length);
  std::memcpy(bytes_ + size_, text, length);
  size_ += length;
  return true;
}

bool CallKey::AddElement(lua_State* L, int index) {
  switch (lua_type(L, index)) {
    case LUA_TNIL:
      return Add(kNil);
    case LUA_TBOOLEAN:
      return Add(kBoolean);
    case LUA_TNUMBER:
      return Add(IsInteger(L, index) ? kWhole : kFractional);
    case LUA_TSTRING:
      return Add(kString) && AddText(L, index);
    case LUA_TUSERDATA:
      return IsTensor(L, index) && Add(kTensor);
    default:
      return false;
  }
}

// A list adds one element's kind, which all must have: its length decides no cost.
bool CallKey::AddArgument(lua_State* L, int index) {
  if (lua_type(L, index) != LUA_TTABLE) return AddElement(L, index);
  if (!Add(kList)) return false;
  const int length = static_cast<int>(lua_objlen(L, index));
  if (length == 0) return Add(0);
  const size_t kind = size_;
  for (int i = 1; i <= length; ++i) {
    lua_rawgeti(L, index, i);
    const bool fits = lua_type(L, -1) != LUA_TSTRING && AddElement(L, lua_gettop(L));
    lua_pop(L, 1);
    if (!fits || bytes_[size_ - 1] != bytes_[kind]) return false;
    size_ = kind + 1;
  }
  return true;
}

bool CallKey::AddKeywords(const Call& call) {
  if (!Add(kKeywords)) return false;
  bool fits = true;
  lua_pushnil(call.L);
  while (lua_next(call.L, call.keywords) != 0) {
    const int value = lua_gettop(call.L);
    // The list part is the last positional argument, which is in the key already.
    if (lua_type(call.L, value - 1) == LUA_TSTRING) fits = AddText(call.L, value - 1) && AddArgument(call.L, value);
    lua_pop(call.L, 1);
    if (fits) continue;
    lua_pop(call.L, 1);
    break;
  }
  return fits;
}

CallKey::CallKey(const Call& call) {
  bool fits = call.count > 0 || call.keywords != 0;
  for (int i = 0; fits && i < call.count; ++i) fits = AddArgument(call.L, call.first + i);
  if (fits && call.keywords != 0) fits = AddKeywords(call);
  if (!fits) size_ = 0;
}

}  // namespace lanthorn::lua
