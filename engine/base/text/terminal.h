// The terminal behind stderr, as those who draw on it see it. Needs nothing but the C library.
#pragma once

#include <string>

namespace lanthorn {

// Its width in columns as it is now, also after a resize; without a terminal $COLUMNS, else 80.
int TerminalColumns();

// The columns that UTF-8 text takes: two for wide characters, none for combining ones; a byte that is not UTF-8 takes
// one. No escape sequences.
int DisplayWidth(const std::string& text);

// The longest beginning of the text that takes at most so many columns, never half a character.
std::string CutToWidth(const std::string& text, int columns);

}  // namespace lanthorn
