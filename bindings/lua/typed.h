// Plain C++ functions for Lua: their types are the signature. A row of FunctionRow names the arguments, Typed<&F> does
// the rest: reads them, says what does not fit, calls, and pushes the result.
//
//   int64_t Horizon(LuaTrainer& self, std::optional<int64_t> update);
//   {"Trainer:horizon", "update", "The update at which ...", Typed<&Horizon>}
//   // Trainer:horizon(int? update=None) -> int
//
// Arguments: what ValueOf reads; a native object by reference; a struct of options (engine/base/options/option_row.h)
// as the last table, named by its rows; lua_State*, which takes no argument. "every=1" gives an argument a default,
// "dict options" another type's name in the signature. Results: void, a value, std::tuple for several, each of these in
// an absl::StatusOr, or an absl::Status, which raises. A member function or a member stands for a method.
#pragma once

#include <array>
#include <string>
#include <tuple>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "bindings/lua/fields.h"
#include "bindings/lua/function.h"
#include "bindings/lua/value.h"

namespace lanthorn::lua {

// One argument as its row names it.
struct ArgumentName {
  std::string name, type, default_text;  // type: "" is that of ValueOf
  bool has_default = false;
};

// How a typed function is called, for messages.
struct CallName {
  std::string who, signature;
  std::vector<ArgumentName> arguments;
};

// Splits "dict options, every=1". The text is ours, so a mistake in it throws.
std::vector<ArgumentName> ParseArgumentNames(const std::string& text, size_t count, const std::string& who);

// Reads the text of a default into a value: "-1", "0.5", "True", "'mean'".
void ReadDefault(const std::string& text, bool* value);
void ReadDefault(const std::string& text, int64_t* value);
void ReadDefault(const std::string& text, double* value);
void ReadDefault(const std::string& text, std::string* value);

// "data.order: argument 'seed' must be int, got nil (data.order(int rows, int seed))". [-0, +0, -]
// `part`: which part of a table does not fit; may be empty.
std::string ArgumentMisfit(lua_State* L, int index, const CallName& call, size_t argument, const std::string& type,
                           const std::string& part);

namespace internal {

struct AnyVisitor {
  template <typename T>
  void operator()(const OptionRow&, T&) {}
};
template <typename T>
concept IsOptions = requires(T& options, AnyVisitor visit) {
  Fields(visit, options);
};
template <typename T>
concept IsObject = requires {
  TypeName<T>::kName;
};

// What an argument of type A is read into.
template <typename A, typename T = std::remove_cvref_t<A>>
using Storage = std::conditional_t<IsObject<T> && std::is_lvalue_reference_v<A>, std::shared_ptr<T>, T>;

template <typename A>
inline constexpr int kTakes = std::is_same_v<A, lua_State*> ? 0 : 1;  // arguments in Lua

// The rows of options as they stand in a signature: "int batch=0, bool drop_last=False".
class SignatureOfOptions {
 public:
  template <typename T>
  void operator()(const OptionRow& row, T& member) {
    absl::StrAppend(&text_, text_.empty() ? "" : ", ");
    if constexpr (std::is_enum_v<T>) {
      absl::StrAppend(&text_, "str ", row.name, "='", WordOf(row, member), "'");
    } else if constexpr (std::is_same_v<T, bool>) {
      absl::StrAppend(&text_, "bool ", row.name, member ? "=True" : "=False");
    } else if constexpr (std::is_same_v<T, std::string>) {
      absl::StrAppend(&text_, "str ", row.name, "='", member, "'");
    } else if constexpr (std::is_same_v<T, double>) {
      const std::string number = absl::StrCat(member);
      absl::StrAppend(&text_, "float ", row.name, "=", number,
                      number.find_first_of(".e") == std::string::npos ? "." : "");
    } else if constexpr (std::is_arithmetic_v<T>) {
      absl::StrAppend(&text_, "int ", row.name, "=", member);
    } else {
      absl::StrAppend(&text_, ValueOf<T>::Type(), " ", row.name, "={}");
    }
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// A result: its type as signatures print it, and how it is pushed; gives the number of values. [-0, +n, e]
template <typename R>
struct Result {
  static std::string Type() { return ValueOf<R>::Type(); }
  static int Push(lua_State* L, R value) {
    ValueOf<R>::Push(L, std::move(value));
    return 1;
  }
};
template <>
struct Result<void> {
  static std::string Type() { return "()"; }
};
template <>
struct Result<absl::Status> : Result<void> {
  static int Push(lua_State*, const absl::Status& status) {
    Check(status);
    return 0;
  }
};
template <typename... R>
struct Result<std::tuple<R...>> {
  static std::string Type() {
    std::string text;
    (absl::StrAppend(&text, text.empty() ? "" : ", ", ValueOf<R>::Type()), ...);
    return text;
  }
  static int Push(lua_State* L, const std::tuple<R...>& values) {
    std::apply([L](const auto&... one) { (lua::Push(L, one), ...); }, values);
    return sizeof...(R);
  }
};
template <typename R>
struct Result<absl::StatusOr<R>> : Result<R> {
  static int Push(lua_State* L, absl::StatusOr<R> value) { return Result<R>::Push(L, Value(std::move(value))); }
};

// The call of F, a function of `Args` with a result of type R.
template <auto F, typename R, typename... Args>
struct TypedCall {
  static constexpr size_t kArguments = (0 + ... + kTakes<Args>);
  static constexpr size_t kOptions = (0 + ... + (IsOptions<std::remove_cvref_t<Args>> ? 1 : 0));
  static inline CallName name;
  static inline bool is_method = false;

  template <typename A>
  static Storage<A> ReadOne(lua_State* L, int* index) {
    if constexpr (std::is_same_v<A, lua_State*>) {
      return L;
    } else {
      const int at = (*index)++;
      Storage<A> value{};
      if constexpr (IsOptions<Storage<A>>) {
        ReadFields(L, at, name.who, value);
      } else {
        const size_t argument = static_cast<size_t>(at) - (is_method ? 2 : 1);  // self has no name
        const bool given = !lua_isnoneornil(L, at);
        if constexpr (requires { ReadDefault("", &value); }) {
          if (!given && argument < name.arguments.size() && name.arguments[argument].has_default) {
            ReadDefault(name.arguments[argument].default_text, &value);
            return value;
          }
        }
        if (!ValueOf<Storage<A>>::Read(L, at, &value))
          throw UsageError(
              ArgumentMisfit(L, at, name, argument, ExpectedOf<Storage<A>>(), MisfitOf<Storage<A>>(L, at)));
      }
      return value;
    }
  }

  template <typename A>
  static decltype(auto) Pass(Storage<A>& value) {
    if constexpr (IsObject<std::remove_cvref_t<A>> && std::is_lvalue_reference_v<A>) {
      return static_cast<A>(*value);
    } else if constexpr (std::is_lvalue_reference_v<A>) {
      return static_cast<A>(value);
    } else {
      return std::move(value);
    }
  }

  // "at most 2 arguments", without the object of a method.
  static std::string AtMost() {
    const size_t most = kArguments - (is_method ? 1 : 0);
    if (most == 0) return "no arguments";
    return absl::StrCat("at most ", most, most == 1 ? " argument" : " arguments");
  }

  static int Run(lua_State* L) {
    const int given = lua_gettop(L);
    if (given > static_cast<int>(kArguments)) {
      for (int i = static_cast<int>(kArguments) + 1; i <= given; ++i) {
        if (!lua_isnil(L, i))
          throw UsageError(absl::StrCat(name.who, ": takes ", AtMost(), ", got ", given - (is_method ? 1 : 0), " (",
                                        name.who, name.signature, ")"));
      }
    }
    lua_settop(L, static_cast<int>(kArguments));
    int index = 1;
    std::tuple<Storage<Args>...> values{ReadOne<Args>(L, &index)...};  // braces: from left to right
    const auto call = [&]<size_t... I>(std::index_sequence<I...>)->decltype(auto) {
      return std::invoke(F, Pass<Args>(std::get<I>(values))...);
    };
    if constexpr (std::is_void_v<R>) {
      call(std::index_sequence_for<Args...>());
      return 0;
    } else {
      return Result<std::remove_cvref_t<R>>::Push(L, call(std::index_sequence_for<Args...>()));
    }
  }

  static std::string Describe(const std::string& who, const char* arguments) {
    if (!name.who.empty() && name.who != who)
      throw std::logic_error(absl::StrCat(who, " and ", name.who, " are one C++ function; messages can name only one"));
    is_method = who.find(':') != std::string::npos;
    name.who = who;
    name.arguments = ParseArgumentNames(arguments, kArguments - kOptions - (is_method ? 1 : 0), who);
    std::string text;
    size_t at = is_method ? static_cast<size_t>(-1) : 0;
    (DescribeOne<Args>(&at, &text), ...);
    name.signature = absl::StrCat("(", text, ")");
    return absl::StrCat(name.signature, " -> ", Result<std::remove_cvref_t<R>>::Type());
  }

  template <typename A>
  static void DescribeOne(size_t* at, std::string* text) {
    using T = Storage<A>;
    if constexpr (kTakes<A> == 0) {
      return;
    } else if constexpr (IsOptions<T>) {
      SignatureOfOptions rows;
      T defaults;
      Fields(rows, defaults);
      absl::StrAppend(text, text->empty() ? "*, " : ", *, ", rows.text());
    } else if (const size_t here = (*at)++; here != static_cast<size_t>(-1)) {
      const ArgumentName& argument = name.arguments[here];
      const std::string type = argument.type.empty() ? ValueOf<T>::Type() : argument.type;
      absl::StrAppend(text, text->empty() ? "" : ", ", type, type.empty() ? "" : " ", argument.name,
                      argument.has_default  ? "=" + argument.default_text
                      : type.ends_with('?') ? "=None"
                                            : "");
    }
  }
};

template <auto F, typename Pointer>
struct CallOf;
template <auto F, typename R, typename... Args>
struct CallOf<F, R (*)(Args...)> : TypedCall<F, R, Args...> {};
template <auto F, typename R, typename C, typename... Args>
struct CallOf<F, R (C::*)(Args...)> : TypedCall<F, R, C&, Args...> {};
template <auto F, typename R, typename C, typename... Args>
struct CallOf<F, R (C::*)(Args...) const> : TypedCall<F, R, const C&, Args...> {};
template <auto F, typename R, typename C>
requires(!std::is_function_v<R>) struct CallOf<F, R C::*> : TypedCall<F, const R&, const C&> {
};

}  // namespace internal

// The function F for a row.
template <auto F, typename Call = internal::CallOf<F, decltype(F)>>
inline constexpr NativeFunction Typed{&Thunk<&Call::Run>, &Call::Describe};

}  // namespace lanthorn::lua
