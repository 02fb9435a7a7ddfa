#include "engine/base/text/utf8.h"

namespace lanthorn {

Utf8 ReadPoint(const char* text, size_t size, size_t* at, char32_t* out) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(*at);
  if (lead < 0x80) {
    *out = lead;
    ++*at;
    return Utf8::kPoint;
  }
  const int extra = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC2 ? 1 : -1;
  if (extra < 0 || lead > 0xF4) return Utf8::kBroken;
  char32_t point = lead & (0x3F >> extra);
  for (int k = 1; k <= extra; ++k) {
    if (*at + static_cast<size_t>(k) >= size) return Utf8::kCut;
    if ((byte(*at + static_cast<size_t>(k)) & 0xC0) != 0x80) return Utf8::kBroken;
    point = (point << 6) | (byte(*at + static_cast<size_t>(k)) & 0x3F);
  }
  constexpr char32_t kSmallest[] = {0, 0x80, 0x800, 0x10000};
  if (point < kSmallest[extra] || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000)) return Utf8::kBroken;
  *out = point;
  *at += static_cast<size_t>(extra) + 1;
  return Utf8::kPoint;
}

void AppendPoint(char32_t point, std::string* text) {
  if (point < 0x80) {
    text->push_back(static_cast<char>(point));
    return;
  }
  const int extra = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
  constexpr unsigned char kLead[] = {0, 0xC0, 0xE0, 0xF0};
  text->push_back(static_cast<char>(kLead[extra] | (point >> (6 * extra))));
  for (int k = extra - 1; k >= 0; --k) text->push_back(static_cast<char>(0x80 | ((point >> (6 * k)) & 0x3F)));
}

}  // namespace lanthorn
