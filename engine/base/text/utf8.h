// Code points of UTF-8 text.
#pragma once

#include <cstddef>
#include <string>

namespace lanthorn {

enum class Utf8 { kPoint, kBroken, kCut };

// Reads the code point that begins at text[*at] and moves *at behind it. kBroken: no code point begins there (overlong
// forms and surrogates included); kCut: the bytes end within one that may still become whole.
Utf8 ReadPoint(const char* text, size_t size, size_t* at, char32_t* point);

void AppendPoint(char32_t point, std::string* text);

}  // namespace lanthorn
