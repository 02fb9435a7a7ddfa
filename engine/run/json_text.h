// JSON as it is written into run directories: keys sorted, text that is not UTF-8 replaced instead of refused (argv may
// hold anything), NaN and infinities as null.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace lanthorn {

// `indent` spaces per level; -1 gives one line without spaces.
inline std::string JsonText(const nlohmann::json& value, int indent = -1) {
  return value.dump(indent, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace);
}

}  // namespace lanthorn
