#include "engine/base/text/terminal.h"

#include <gtest/gtest.h>

namespace lanthorn {
namespace {

TEST(Terminal, WidthIsThatOfWhatIsSeen) {
  EXPECT_EQ(DisplayWidth("abc"), 3);
  EXPECT_EQ(DisplayWidth("für"), 3);
  EXPECT_EQ(DisplayWidth("日本"), 4);
  EXPECT_EQ(DisplayWidth("e\xCC\x81"), 1);  // e and a combining accent
  EXPECT_EQ(DisplayWidth("█░"), 2);
  EXPECT_EQ(DisplayWidth("\xff\xe2\x82"), 3);  // not UTF-8
}

TEST(Terminal, CutsBetweenCharacters) {
  EXPECT_EQ(CutToWidth("abc", 2), "ab");
  EXPECT_EQ(CutToWidth("日本", 3), "日");
  EXPECT_EQ(CutToWidth("e\xCC\x81x", 1), "e\xCC\x81");
  EXPECT_EQ(CutToWidth("abc", 9), "abc");
  EXPECT_EQ(CutToWidth("abc", 0), "");
}

}  // namespace
}  // namespace lanthorn
