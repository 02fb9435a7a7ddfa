#include "engine/run/json_text.h"

#include <charconv>

#include "absl/strings/escaping.h"
#include "engine/base/text/utf8.h"

namespace lanthorn {
namespace {

using nlohmann::json;

std::string Encode(const std::string& text) {
  std::string encoded;
  for (size_t at = 0, from = 0; at < text.size(); from = at) {
    char32_t point;
    if (ReadPoint(text.data(), text.size(), &at, &point) == Utf8::kPoint && point != 0) {
      encoded.append(text, from, at - from);
      continue;
    }
    at = from + 1;
    encoded.push_back('\0');
    encoded += absl::BytesToHexString(text.substr(from, 1));
  }
  return encoded;
}

std::string Decode(const std::string& text) {
  std::string decoded;
  for (size_t at = 0; at < text.size(); ++at) {
    unsigned byte = 0;
    const char* const digits = text.data() + at + 1;
    if (text[at] == '\0' && at + 2 < text.size() && std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
      decoded.push_back(static_cast<char>(byte));
      at += 2;
    } else {
      decoded.push_back(text[at]);
    }
  }
  return decoded;
}

// Every text of `value`, names of fields included, as f gives it.
template <typename F>
json EachText(json value, const F& f) {
  if (value.is_string()) return f(value.get_ref<const std::string&>());
  if (value.is_array()) {
    for (json& item : value) item = EachText(std::move(item), f);
  } else if (value.is_object()) {
    json object = json::object();
    for (auto& [key, item] : value.items()) object[f(key)] = EachText(std::move(item), f);
    return object;
  }
  return value;
}

}  // namespace

json EncodeBytes(json value) { return EachText(std::move(value), Encode); }

json DecodeBytes(json value) { return EachText(std::move(value), Decode); }

}  // namespace lanthorn
