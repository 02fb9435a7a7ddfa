// One argument of a function schema, prepared for reading Lua values quickly; ATen's schema grammar is the only one.
#pragma once

#include <ATen/core/function_schema.h>
#include <ATen/core/ivalue.h>

#include <cstring>
#include <string>
#include <vector>

#include "bindings/lua/lua.h"
#include "bindings/ops/enumerations.h"
#include "engine/base/text/tensor_format.h"

namespace lanthorn::lua {

enum class Kind {
  kTensor,
  kScalar,
  kInt,
  kFloat,
  kBool,
  kString,
  kDevice,
  kDtype,
  kLayout,
  kMemoryFormat,
  kGenerator,
  kUnsupported
};

struct Parameter {
  std::string name;
  Kind kind = Kind::kUnsupported;
  bool optional = false;  // nil is a value
  bool list = false;
  bool optional_element = false;  // Tensor?[]
  int32_t fixed_size = 0;         // int[2]: one int stands for both
  bool keyword_only = false;
  bool out = false;
  bool has_default = false;
  c10::IValue default_value;
  std::string type;                    // as the schema prints it
  const Enumeration* words = nullptr;  // of an int that a word may stand for
};

struct Signature {
  std::vector<Parameter> parameters;
  size_t positional = 0;  // number of parameters that may be given by position
  bool mutates = false;   // some argument is written
};

Signature ReadSignature(const c10::FunctionSchema& schema);

// The arguments of one call, as they lie on the Lua stack.
struct Call {
  lua_State* L = nullptr;
  int first = 1;                  // stack index of the first positional argument
  int count = 0;                  // number of positional arguments
  int keywords = 0;               // stack index of the keyword table, 0 if none
  bool list_in_keywords = false;  // {2, 3, dtype='int64'}: the list part is the last positional argument
};

// Splits the stack from `first` on: a last table with string keys holds keywords. [-0, +0, -]
Call SplitArguments(lua_State* L, int first);

// Whether the value is a number that is whole and exact as an integer. [-0, +0, -]
bool IsInteger(lua_State* L, int index);

// Cost of reading the call by this signature: 0 is exact, more is a looser conversion, -1 does not fit. When it does
// not fit and `why` is given, it says in words what does not fit.
int MatchCost(const Call& call, const Signature& signature, std::string* why);

// What MatchCost looks at in a call, as bytes: two calls with equal keys cost the same by every signature. A call with
// an empty key (userdata other than tensors, mixed lists, more than fits) has to be matched anew.
class CallKey {
 public:
  explicit CallKey(const Call& call);  // [-0, +0, -]
  bool empty() const { return size_ == 0; }
  bool operator==(const std::string& other) const {
    return other.size() == size_ && std::memcmp(other.data(), bytes_, size_) == 0;
  }
  std::string text() const { return std::string(bytes_, size_); }

 private:
  bool Add(char byte);
  bool AddText(lua_State* L, int index);
  bool AddElement(lua_State* L, int index);
  bool AddArgument(lua_State* L, int index);
  bool AddKeywords(const Call& call);

  static constexpr size_t kMost = 120;
  char bytes_[kMost];
  size_t size_ = 0;
};

// Reads all arguments into `values`, which it clears first; the call must match.
void ReadArguments(const Call& call, const Signature& signature, std::vector<c10::IValue>* values);

// "(Tensor float32 {2, 3}, number 4, dim=number 0)". [-0, +0, -]
std::string DescribeCall(const Call& call);

// Pushes a result value; tuples and several results push several values; returns how many. [-0, +n, m]
int PushValue(lua_State* L, const c10::IValue& value);

// Reads the name of a data type: "float32", "torch.float32", "float"; false for anything else.
bool ParseDtype(const std::string& name, c10::ScalarType* type);

}  // namespace lanthorn::lua
