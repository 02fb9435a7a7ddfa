#include "engine/data/text/text_file.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace lanthorn::data {
namespace {

// Gives a text to the inspector in pieces of so many bytes; the first error, or that of the end.
absl::Status Inspect(const std::string& text, TextFindings* findings = nullptr, size_t piece = 1 << 20) {
  TextInspector inspector;
  absl::Status status;
  for (size_t at = 0; at < text.size() && status.ok(); at += piece)
    status = inspector.Take(text.data() + at, std::min(piece, text.size() - at));
  if (status.ok()) status = inspector.Finish();
  if (findings != nullptr) *findings = inspector.findings();
  return status;
}

// The text in UTF-16 (2 bytes a character) or UTF-32 (4), of characters below 256.
std::string Wide(const std::string& text, size_t width, bool little) {
  std::string out;
  for (const char c : text) {
    std::string one(width, '\0');
    one[little ? 0 : width - 1] = c;
    out += one;
  }
  return out;
}

void ExpectError(const absl::Status& status, const std::string& words) {
  EXPECT_EQ(ExitCodeOf(status), ExitCode::kData) << words;
  EXPECT_NE(MessageOf(status).find(words), std::string::npos) << status << "\nexpected: " << words;
}

TEST(TextInspector, CountsLineEndsWhereverThePiecesAreCut) {
  const std::string text = "a\r\nb\r\n\rc\nd\r\r\ne\r";
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    TextFindings found;
    ASSERT_TRUE(Inspect(text, &found, piece).ok());
    EXPECT_EQ(found.crlf, 3) << piece;
    EXPECT_EQ(found.cr, 3) << piece;
    EXPECT_TRUE(found.has_line_feed);
    EXPECT_EQ(found.bytes, static_cast<int64_t>(text.size()));
  }
}

TEST(TextInspector, CarriageReturnsAreDescribedAndRefusedWithBothChoices) {
  EXPECT_EQ(DescribeCarriageReturns({.crlf = 27}), "27 lines end with CR LF");
  EXPECT_EQ(DescribeCarriageReturns({.cr = 1}), "1 line ends with CR alone");
  EXPECT_EQ(DescribeCarriageReturns({.crlf = 27, .cr = 3}), "27 lines end with CR LF and 3 with CR alone");
  EXPECT_EQ(DescribeCarriageReturns({.bytes = 5}), "");
  EXPECT_TRUE(RefuseCarriageReturns({.bytes = 5}, "data").ok());
  ExpectError(RefuseCarriageReturns({.crlf = 27}, "data"),
              "27 lines end with CR LF; data.newlines=lf converts each to LF, data.newlines=keep trains on the");
  ExpectError(RefuseCarriageReturns({.cr = 2}, "domains"), "domains.newlines=lf");
}

TEST(TextInspector, OtherEncodingsAreNamedWithTheCommandThatConvertsThem) {
  const std::string text = "To be, or not to be: that is the question.\n", mark = "it begins with a byte order mark";
  ExpectError(Inspect("\xFF\xFE" + Wide(text, 2, true)), "the text is UTF-16, expected UTF-8 (" + mark);
  ExpectError(Inspect("\xFE\xFF" + Wide(text, 2, false)), "the text is UTF-16, expected UTF-8 (" + mark);
  ExpectError(Inspect(std::string("\xFF\xFE\0\0", 4) + Wide(text, 4, true)), "iconv -f UTF-32 -t UTF-8");
  ExpectError(Inspect("\xFF\xFE"), "iconv -f UTF-16 -t UTF-8");
  for (const size_t piece : {size_t{1}, size_t{7}, size_t{1} << 20}) {
    for (const int repeat : {1, 5000}) {
      std::string longer;
      for (int i = 0; i < repeat; ++i) longer += text;
      const auto inspect = [&](size_t width, bool little) {
        return Inspect(Wide(longer, width, little), nullptr, piece);
      };
      ExpectError(inspect(2, true), "iconv -f UTF-16LE -t UTF-8");
      ExpectError(inspect(2, false), "iconv -f UTF-16BE -t UTF-8");
      ExpectError(inspect(4, true), "iconv -f UTF-32LE -t UTF-8");
      ExpectError(inspect(4, false), "iconv -f UTF-32BE -t UTF-8");
    }
  }
  ExpectError(Inspect(Wide(text, 2, true)), "43 of its first 86 bytes are NUL, and there is no byte order mark");
}

// Cyrillic, of which only spaces and line ends have a NUL: 1 in 6 here.
TEST(TextInspector, Utf16OfAnotherAlphabetIsNamedToo) {
  std::string text;
  for (int i = 0; i < 600; ++i) {
    text += i % 6 == 5 ? ' ' : static_cast<char>(0x30 + i % 32);
    text += i % 6 == 5 ? '\0' : '\x04';
  }
  ExpectError(Inspect(text), "UTF-16LE");
}

TEST(TextInspector, NulBytesAreCountedAndTheFirstIsNamed) {
  const std::string text = "A text with a few odd bytes";
  ExpectError(Inspect(text + std::string(1, '\0') + text),
              "holds 1 NUL byte, the first at byte 27, and a text has none; remove it");
  ExpectError(Inspect(text + std::string(3, '\0') + text), "holds 3 NUL bytes, the first at byte 27");
  std::string late(100000, 'x');
  late[99999] = '\0';
  ExpectError(Inspect(late, nullptr, 1000), "holds 1 NUL byte, the first at byte 99999");
  ExpectError(Inspect(std::string(1, '\0')), "holds 1 NUL byte");
}

TEST(TextInspector, WhatIsTakenAllTheSameIsNoted) {
  const auto note = [](const std::string& text, size_t piece) {
    TextFindings found;
    EXPECT_TRUE(Inspect(text, &found, piece).ok());
    return NoteOf(found);
  };
  EXPECT_EQ(note("a plain text\nof two lines\n", 3), "");
  EXPECT_EQ(note("\xEF\xBB\xBFmarked\n", 1), "begins with a byte order mark, which is left out");
  EXPECT_EQ(note("no end", 100), "is a single line without a line end");
  EXPECT_EQ(note("\xEF\xBB\xBFno end", 2),
            "begins with a byte order mark, which is left out; is a single line without a line end");
  EXPECT_EQ(note("a\rb", 1), "");
  EXPECT_EQ(note("", 1), "");
}

}  // namespace
}  // namespace lanthorn::data
