#include "engine/data/text.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include "engine/base/files/files.h"
#include "tests/engine/temporary_folder.h"

namespace lanthorn::data {
namespace {

// The published numbers are of tiny Shakespeare: 1,115,394 characters, 65 of them different.
constexpr int64_t kLength = 1115394, kTrain = 1003854, kVal = 111540;

TEST(Shakespeare, GivesThePublishedNumbersOfBatches) {
  const auto expect = [](TextOptions options, int64_t train, int64_t val) {
    options.drop_last = true;
    EXPECT_EQ(CountBatches(options.split < 1 ? kTrain : kLength, options), train);
    EXPECT_EQ(CountBatches(options.split < 1 ? kVal : 0, options), val);
  };
  expect({.batch = 64}, 156, 17);
  expect({.batch = 128}, 78, 8);
  expect({.batch = 16}, 627, 69);
  expect({.batch = 32}, 313, 34);
  expect({.batch = 64, .layout = Layout::kOverlap}, 15682, 1740);
  expect({.batch = 64, .split = 1, .val_required = false}, 174, 0);
  expect({.batch = 64, .split = 1, .layout = Layout::kStreams, .val_required = false}, 173, 0);
}

TEST(Shakespeare, AHalfHasThePublishedStreams) {
  const TextOptions options = {.batch = 64, .layout = Layout::kStreams};
  EXPECT_EQ(CountBatches(557697, options), 86);
  EXPECT_EQ(CountBatches(557697 * 9 / 10, options), 77);
  EXPECT_EQ(CountBatches(557697 - 557697 * 9 / 10, options), 7);
}

class TextFile : public testing::Test {
 protected:
  absl::StatusOr<std::shared_ptr<Text>> Open(const std::string& contents, const TextOptions& options,
                                             const std::string& sha = "") {
    EXPECT_TRUE(WriteFileAtomic(folder_ / "t.txt", contents, /*sync=*/false).ok());
    TextOptions with_sha = options;
    with_sha.tokens.expected_sha256 = sha;
    return Text::Open("corpus", folder_ / "t.txt", with_sha);
  }
  void ExpectError(const absl::Status& status, ExitCode code, const std::vector<std::string>& words) {
    EXPECT_EQ(ExitCodeOf(status), code) << status;
    for (const std::string& word : words)
      EXPECT_NE(MessageOf(status).find(word), std::string::npos) << word << " in " << status;
  }
  TemporaryFolder folder_;
};

// As long as tiny Shakespeare and with as many characters; the last twelve of them come late.
std::string LikeShakespeare() {
  std::string contents;
  for (int64_t i = 0; i < kLength; ++i) contents += static_cast<char>(' ' + i * 7 % (i < 5000 ? 53 : 65));
  return contents;
}

TEST_F(TextFile, HasThePublishedSizes) {
  const std::string contents = LikeShakespeare();
  const auto text = Open(contents, {.drop_last = true});
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ((*text)->bytes, kLength);
  EXPECT_EQ((*text)->tokenizer->vocab_size(), 65);
  EXPECT_EQ((*text)->train->length(), kTrain);
  EXPECT_EQ((*text)->val->length(), kVal);
  EXPECT_EQ((*text)->train->count(), 156);
  EXPECT_EQ((*text)->val->count(), 17);
  EXPECT_EQ((*text)->sha256, Sha256Hex(contents));
}

TEST_F(TextFile, ItsFirstFiveThousandCharactersHaveTheirOwnVocabulary) {
  const auto text = Open(LikeShakespeare(), {.batch = 32, .chars = 5000, .drop_last = true, .val_required = false});
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ((*text)->tokenizer->vocab_size(), 53);
  EXPECT_EQ((*text)->train->count(), 1);
  EXPECT_EQ((*text)->val->count(), 0);
  ExpectError(Open(LikeShakespeare(), {.batch = 32, .chars = 5000, .drop_last = true}).status(), ExitCode::kData,
              {"val: 500 characters", "32 x 101", "eval.off=true"});
}

TEST_F(TextFile, TheOverlapOfAShortTextHasThePublishedBatches) {
  std::string contents;
  for (int i = 0; i < 5199; ++i) contents += static_cast<char>('a' + i % 7);
  const auto text = Open(contents, {.batch = 32, .layout = Layout::kOverlap, .drop_last = true});
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ((*text)->train->count(), 140);
  EXPECT_EQ((*text)->val->count(), 12);
}

TEST_F(TextFile, SplitsByCharactersNotBytes) {
  std::string contents;
  for (int i = 0; i < 100; ++i) contents += i % 2 ? "\xC3\xA9" : "x";
  const auto text = Open(contents, {.batch = 1, .seq = 2, .stride = 2});
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ((*text)->bytes, 150);
  EXPECT_EQ((*text)->train->length(), 90);
  EXPECT_EQ((*text)->val->length(), 10);
}

TEST_F(TextFile, ATextWithoutATrainBatchGivesTheNumbers) {
  ExpectError(Open("too short", {.batch = 2, .seq = 5}).status(), ExitCode::kData,
              {"corpus 'corpus'", "train: 8 characters", "2 x 6"});
}

TEST_F(TextFile, AnEmptyFileIsADataError) { ExpectError(Open("", {}).status(), ExitCode::kData, {"is empty"}); }

TEST_F(TextFile, MoreCharactersThanThereAreIsADataError) {
  ExpectError(Open("0123456789", {.batch = 1, .seq = 2, .chars = 11}).status(), ExitCode::kData,
              {"chars=11", "only 10"});
}

TEST_F(TextFile, AChangedFileShowsBothChecksums) {
  ExpectError(Open("changed", {.batch = 1, .seq = 1}, std::string(64, '0')).status(), ExitCode::kData,
              {"not the file that was pinned", Sha256Hex("changed"), std::string(64, '0')});
}

TEST_F(TextFile, AMissingFileIsADataErrorWithItsPath) {
  const auto text = Text::Open("corpus", folder_ / "none.txt", {});
  ExpectError(text.status(), ExitCode::kData, {folder_ / "none.txt"});
}

TEST_F(TextFile, BrokenUtf8IsADataErrorWithFileAndOffset) {
  ExpectError(Open("abc\xFF"
                   "def",
                   {.batch = 1, .seq = 1})
                  .status(),
              ExitCode::kData, {"t.txt", "not UTF-8 at byte 3"});
}

TEST_F(TextFile, ImpossibleOptionsAreConfigErrors) {
  const auto expect = [&](const TextOptions& options, const char* words) {
    ExpectError(Open("some text", options).status(), ExitCode::kConfig, {words});
  };
  expect({.batch = 0}, "at least 1, got 0");
  expect({.seq = 0}, "at least 1");
  expect({.stride = -1}, "at least 1");
  expect({.split = 0}, "split must be in (0, 1]");
  expect({.split = 1.5}, "split must be in (0, 1]");
  expect({.chars = -1}, "chars must not be negative");
  expect({.layout = Layout::kStreams, .shuffle = true}, "'streams' cannot be shuffled");
}

}  // namespace
}  // namespace lanthorn::data
