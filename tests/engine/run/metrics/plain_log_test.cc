#include "engine/run/metrics/plain_log.h"

#include <gtest/gtest.h>

#include "tests/engine/temporary_folder.h"

namespace lanthorn {
namespace {

TEST(PlainLogTest, TextWithoutEscapesIsKept) {
  EXPECT_EQ(AnsiStripper().Strip("loss 1.5 \xc3\xa9\t[0m\n"), "loss 1.5 \xc3\xa9\t[0m\n");
}

TEST(PlainLogTest, EscapeSequencesAreRemoved) {
  EXPECT_EQ(AnsiStripper().Strip("\x1b[1;31mred\x1b[0m \x1b[2K\x1b[?25lx\x1b]0;title\x07y\x1b]8;;u\x1b\\z\x1b(B!\x1b"
                                 "7?"),
            "red xyz!?");
}

TEST(PlainLogTest, SequencesCutBetweenCallsAreRemovedAtEveryCut) {
  const std::string text =
      "a\x1b[38;5;1mb\x1b]0;t\x07"
      "c\x1b(Bd";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    AnsiStripper stripper;
    const std::string first = stripper.Strip(text.substr(0, cut));
    EXPECT_EQ(first + stripper.Strip(text.substr(cut)), "abcd") << cut;
  }
}

TEST(PlainLogTest, AnUnfinishedSequenceEndsWithItsLine) {
  EXPECT_EQ(AnsiStripper().Strip("a\x1b]0;title\nb\x1b[1\nc\x1b\nd\x1b(\ne"), "a\nb\nc\nd\ne");
}

TEST(PlainLogTest, TheFileIsAppendedTo) {
  TemporaryFolder folder;
  ASSERT_TRUE(PlainLog::Open(folder / "x")->Append("one\n").ok());
  ASSERT_TRUE(PlainLog::Open(folder / "x")->Append("\x1b[1mtwo\n").ok());
  EXPECT_EQ(*ReadFile(folder / "x"), "one\ntwo\n");
}

}  // namespace
}  // namespace lanthorn
