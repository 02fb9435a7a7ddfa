// Typed functions (bindings/lua/typed.h): how their arguments are read, what is said of those that do not fit, and
// what comes back.
#include "bindings/lua/typed.h"

#include <gtest/gtest.h>

#include "engine/base/status.h"

namespace lanthorn::lua {

struct Counter {
  int64_t value = 0;
};
LANTHORN_LUA_TYPE(Counter, "test.Counter");

namespace {

struct Options {
  int64_t times = 2;
  std::string word = "ab";
};
template <typename Visit>
void Fields(Visit&& visit, Options& options) {
  visit({"times", "how often", 1}, options.times);
  visit({"word", "what", {}, {"ab", "cd"}}, options.word);
}

double Add(double a, int64_t b) { return a + static_cast<double>(b); }
std::string Repeat(const std::string& separator, const Options& options) {
  std::string text;
  for (int64_t i = 0; i < options.times; ++i) text += (i > 0 ? separator : "") + options.word;
  return text;
}
std::optional<int64_t> Maybe(std::optional<int64_t> number) { return number; }
std::tuple<int64_t, std::string> Two() { return {7, "seven"}; }
absl::StatusOr<int64_t> Positive(int64_t number) {
  if (number <= 0) return ConfigError("not positive");
  return number;
}
absl::Status Fail() { return DataError("no file"); }
std::shared_ptr<Counter> NewCounter() { return std::make_shared<Counter>(); }
void Increase(Counter& self, int64_t by) { self.value += by; }
std::vector<std::string> Reversed(const std::vector<std::string>& words) { return {words.rbegin(), words.rend()}; }
int64_t Sum(const std::map<std::string, int64_t>& numbers) {
  int64_t sum = 0;
  for (const auto& [name, number] : numbers) sum += number;
  return sum;
}

const std::vector<FunctionRow> kFunctions = {
    {"add", "a, b", "", Typed<&Add>},
    {"add_default", "a, b=3", "", Typed<+[](double a, int64_t b) { return Add(a, b); }>},
    {"repeat_word", "separator", "", Typed<&Repeat>},
    {"maybe", "number", "", Typed<&Maybe>},
    {"two", "", "", Typed<&Two>},
    {"positive", "number", "", Typed<&Positive>},
    {"fail", "", "", Typed<&Fail>},
    {"counter", "", "", Typed<&NewCounter>},
    {"reversed", "words", "", Typed<&Reversed>},
    {"sum", "dict numbers", "", Typed<&Sum>},
};
const std::vector<FunctionRow> kMethods = {
    {"Counter:increase", "by=1", "", Typed<&Increase>},
    {"Counter:get", "", "", Typed<&Counter::value>},
};

class TypedFunctions : public testing::Test {
 protected:
  TypedFunctions() : L_(luaL_newstate()) {
    luaL_openlibs(L_);
    AnchorState(L_);
    Api().clear();
    lua_newtable(L_);
    RegisterRows(L_, "test", kFunctions);
    DefineType<Counter>(L_);
    RegisterRows(L_, "test", kMethods);
    lua_pop(L_, 1);
    lua_setglobal(L_, "test");
  }
  ~TypedFunctions() override {
    lua_close(L_);
    Api().clear();
  }

  // The values that a chunk returns, as one text, or its error.
  std::string Run(const std::string& expression) {
    const std::string chunk = "local values = { pcall(function() return " + expression +
                              " end) }\nfor i = 1, 4 do values[i] = tostring(values[i]) end\n"
                              "return (table.concat(values, ' ', 1, 3):gsub('%s+nil$', ''))";
    if (luaL_dostring(L_, chunk.c_str()) != 0) return std::string("chunk: ") + lua_tostring(L_, -1);
    return lua_tostring(L_, -1);
  }
  static std::string SignatureOf(const std::string& name) {
    for (const ApiRow& row : Api()) {
      if (row.name == name) return row.signature;
    }
    return "";
  }

  lua_State* L_;
};

TEST_F(TypedFunctions, SignaturesAreTheTypesWithTheNamesOfTheRow) {
  EXPECT_EQ(SignatureOf("add"), "(float a, int b) -> float");
  EXPECT_EQ(SignatureOf("add_default"), "(float a, int b=3) -> float");
  EXPECT_EQ(SignatureOf("repeat_word"), "(str separator, *, int times=2, str word='ab') -> str");
  EXPECT_EQ(SignatureOf("maybe"), "(int? number=None) -> int?");
  EXPECT_EQ(SignatureOf("two"), "() -> int, str");
  EXPECT_EQ(SignatureOf("positive"), "(int number) -> int");
  EXPECT_EQ(SignatureOf("fail"), "() -> ()");
  EXPECT_EQ(SignatureOf("counter"), "() -> Counter");
  EXPECT_EQ(SignatureOf("reversed"), "(str[] words) -> str[]");
  EXPECT_EQ(SignatureOf("sum"), "(dict numbers) -> int");
  EXPECT_EQ(SignatureOf("Counter:increase"), "(int by=1) -> ()");
  EXPECT_EQ(SignatureOf("Counter:get"), "() -> int");
}

TEST_F(TypedFunctions, ArgumentsAreReadByTypeAndDefault) {
  EXPECT_EQ(Run("test.add(1.5, 2)"), "true 3.5");
  EXPECT_EQ(Run("test.add_default(1)"), "true 4");
  EXPECT_EQ(Run("test.maybe(4)"), "true 4");
  EXPECT_EQ(Run("test.maybe()"), "true nil");
  EXPECT_EQ(Run("table.concat(test.reversed { 'a', 'b' })"), "true ba");
  EXPECT_EQ(Run("test.sum { a = 1, b = 2 }"), "true 3");
}

TEST_F(TypedFunctions, OptionsAreTheLastTable) {
  EXPECT_EQ(Run("test.repeat_word '-'"), "true ab-ab");
  EXPECT_EQ(Run("test.repeat_word('-', { times = 1, word = 'cd' })"), "true cd");
  EXPECT_NE(Run("test.repeat_word('-', { times = 0 })").find("option 'times' must be at least 1, got 0"),
            std::string::npos);
  EXPECT_NE(Run("test.repeat_word('-', { word = 'x' })").find("option 'word' is 'x', expected one of ab, cd"),
            std::string::npos);
  EXPECT_NE(Run("test.repeat_word('-', { tims = 1 })").find("unknown option 'tims'; did you mean 'times'?"),
            std::string::npos);
}

TEST_F(TypedFunctions, SeveralResultsAndErrorsComeBack) {
  EXPECT_EQ(Run("test.two()"), "true 7 seven");
  EXPECT_EQ(Run("test.positive(3)"), "true 3");
  EXPECT_NE(Run("test.positive(-3)").find("false"), std::string::npos);
  EXPECT_NE(Run("test.positive(-3)").find("not positive"), std::string::npos);
  EXPECT_NE(Run("test.fail()").find("no file"), std::string::npos);
}

TEST_F(TypedFunctions, MethodsChangeTheirObject) {
  EXPECT_EQ(Run("(function() local c = test.counter() c:increase() c:increase(5) return c:get() end)()"), "true 6");
  EXPECT_NE(Run("test.counter().increase(3)").find("Counter:increase: expected Counter, got number 3"),
            std::string::npos);
}

TEST_F(TypedFunctions, WhatDoesNotFitIsNamedWithTheSignature) {
  EXPECT_NE(
      Run("test.add(1, 2.5)").find("test.add: argument 'b' must be int, got number 2.5 (test.add(float a, int b))"),
      std::string::npos);
  EXPECT_NE(Run("test.add(1)").find("test.add: argument 'b' (int) is missing"), std::string::npos);
  EXPECT_NE(Run("test.add('1', 2)").find("argument 'a' must be float, got string '1'"), std::string::npos);
  EXPECT_NE(Run("test.add(1, 2, 3)").find("test.add: takes at most 2 arguments, got 3"), std::string::npos);
  EXPECT_NE(Run("test.counter(1)").find("test.counter: takes no arguments, got 1"), std::string::npos);
  EXPECT_NE(Run("test.counter():get(1)").find("Counter:get: takes no arguments, got 1"), std::string::npos);
  EXPECT_NE(Run("test.counter():increase(1, 2)").find("Counter:increase: takes at most 1 argument, got 2"),
            std::string::npos);
  EXPECT_NE(Run("test.sum { a = 1, b = 'x' }").find("test.sum: argument 'numbers': entry 'b' must be int, got string"),
            std::string::npos);
  EXPECT_NE(Run("test.sum { 1 }").find("argument 'numbers': names must be strings, got number 1"), std::string::npos);
  EXPECT_NE(Run("test.reversed { 'a', 1 }").find("argument 'words' must be str[]"), std::string::npos);
}

}  // namespace
}  // namespace lanthorn::lua
