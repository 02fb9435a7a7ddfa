#include "engine/base/text/terminal.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstddef>

namespace lanthorn {
namespace {

struct Character {
  std::size_t bytes;
  int columns;
};

// East Asian wide and full-width blocks and pictographs, and marks that are drawn over the character before them: the C
// library knows them in a UTF-8 locale only.
int ColumnsOf(char32_t point) {
  const auto in = [point](char32_t first, char32_t last) { return point >= first && point <= last; };
  if (in(0x300, 0x36f) || in(0x200b, 0x200f) || in(0x20d0, 0x20ff) || in(0xfe00, 0xfe0f)) return 0;
  if (in(0x1100, 0x115f) || in(0x2e80, 0x303e) || in(0x3041, 0xa4cf) || in(0xac00, 0xd7a3) || in(0xf900, 0xfaff) ||
      in(0xfe30, 0xfe6f) || in(0xff00, 0xff60) || in(0xffe0, 0xffe6) || in(0x1f300, 0x1faff) || in(0x20000, 0x3fffd))
    return 2;
  return 1;
}

Character At(const std::string& text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  const std::size_t bytes = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
  if (bytes == 1 || at + bytes > text.size()) return {1, 1};
  char32_t point = first & (0xffu >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return {1, 1};
    point = point << 6 | (byte(at + i) & 0x3f);
  }
  return {bytes, ColumnsOf(point)};
}

}  // namespace

int TerminalColumns() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  const char* text = getenv("COLUMNS");
  const int columns = text != nullptr ? atoi(text) : 0;
  return columns > 0 ? columns : 80;
}

int DisplayWidth(const std::string& text) {
  int width = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Character next = At(text, at);
    width += next.columns;
    at += next.bytes;
  }
  return width;
}

std::string CutToWidth(const std::string& text, int columns) {
  int width = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    const Character next = At(text, at);
    if (width + next.columns > columns) break;
    width += next.columns;
    at += next.bytes;
  }
  return text.substr(0, at);
}

}  // namespace lanthorn
