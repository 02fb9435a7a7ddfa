#include "bindings/lua/typed.h"

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace lanthorn::lua {

std::vector<ArgumentName> ParseArgumentNames(const std::string& text, size_t count, const std::string& who) {
  std::vector<ArgumentName> arguments;
  for (const auto& part : absl::StrSplit(text, ", ", absl::SkipEmpty())) {
    ArgumentName argument;
    std::string name(part);
    if (const size_t equals = name.find('='); equals != std::string::npos) {
      argument.has_default = true;
      argument.default_text = name.substr(equals + 1);
      name.resize(equals);
    }
    if (const size_t space = name.rfind(' '); space != std::string::npos) {
      argument.type = name.substr(0, space);
      name.erase(0, space + 1);
    }
    argument.name = name;
    arguments.push_back(std::move(argument));
  }
  if (arguments.size() != count)
    throw std::logic_error(
        absl::StrCat(who, ": the row names ", arguments.size(), " arguments, the function takes ", count));
  return arguments;
}

void ReadDefault(const std::string& text, bool* value) { *value = text == "True"; }
void ReadDefault(const std::string& text, int64_t* value) { LANTHORN_CHECK(absl::SimpleAtoi(text, value)); }
void ReadDefault(const std::string& text, double* value) { LANTHORN_CHECK(absl::SimpleAtod(text, value)); }
void ReadDefault(const std::string& text, std::string* value) { *value = text.substr(1, text.size() - 2); }

std::string ArgumentMisfit(lua_State* L, int index, const CallName& call, size_t argument, const std::string& type,
                           const std::string& part) {
  if (argument >= call.arguments.size()) {  // self
    const std::string method = call.who.substr(call.who.find(':') + 1);
    return absl::StrCat(call.who, ": expected ", type, ", got ", Describe(L, index), "; call it as object:", method,
                        "(...)");
  }
  const std::string what = lua_isnoneornil(L, index) ? absl::StrCat(" (", type, ") is missing")
                           : !part.empty()           ? absl::StrCat(": ", part)
                                                     : absl::StrCat(" must be ", type, ", got ", Describe(L, index));
  return absl::StrCat(call.who, ": argument '", call.arguments[argument].name, "'", what, " (", call.who,
                      call.signature, ")");
}

}  // namespace lanthorn::lua
