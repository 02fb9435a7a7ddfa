// JSON as it is written into run directories: keys sorted, NaN and infinities as null. argv, names of files and texts
// of a script may hold any bytes.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace lanthorn {

// For people to read: what is not UTF-8 is replaced by U+FFFD. `indent` spaces per level; -1 gives one line without
// spaces.
inline std::string JsonText(const nlohmann::json& value, int indent = -1) {
  return value.dump(indent, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace);
}

// For what is read again, such as a file's name by a resume: every text of `value` such that no byte is lost. A byte
// that begins no UTF-8 character becomes "\u0000" and two hex digits, and so does a NUL; all else stays. Read it with
// DecodeBytes.
nlohmann::json EncodeBytes(nlohmann::json value);

// What EncodeBytes was given. Text that it cannot have written stays as it is.
nlohmann::json DecodeBytes(nlohmann::json value);

}  // namespace lanthorn
