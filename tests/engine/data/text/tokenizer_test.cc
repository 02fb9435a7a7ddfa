#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include "engine/data/text.h"

namespace lanthorn::data {
namespace {

std::vector<int64_t> Ids(const at::Tensor& tensor) {
  return {tensor.data_ptr<int64_t>(), tensor.data_ptr<int64_t>() + tensor.numel()};
}

TEST(CharTokenizer, IdsAreTheSortedCharactersFromZero) {
  const auto tokenizer = CharTokenizer::FromText("banana!");
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_EQ(tokenizer->vocab_size(), 4);
  EXPECT_EQ(Ids(*tokenizer->Encode("!abn")), (std::vector<int64_t>{0, 1, 2, 3}));
}

TEST(CharTokenizer, CharactersOfEveryLengthComeBack) {
  const std::string text =
      "a\xC2\xA9\xDF\xBF\xE2\x82\xAC\xEF\xBF\xBD\xF0\x9F\x8C\x8A\xF4\x8F\xBF\xBF\n";  // 1, 2, 2, 3, 3, 4, 4 and 1 bytes
  const auto tokenizer = CharTokenizer::FromText(text);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ(tokenizer->vocab_size(), 8);
  EXPECT_EQ(tokenizer->characters()[0], U'\n');
  EXPECT_EQ(tokenizer->characters().back(), char32_t{0x10FFFF});
  const auto ids = tokenizer->Encode(text);
  ASSERT_TRUE(ids.ok());
  EXPECT_EQ(ids->numel(), 8);
  EXPECT_EQ(tokenizer->Decode(*ids), text);
}

TEST(CharTokenizer, BrokenUtf8IsADataErrorWithItsByteOffset) {
  const std::pair<std::string, int> cases[] = {
      {"abc\x80", 3},            // a continuation without lead
      {"ab\xC3", 2},             // cut short
      {"ab\xE2\x82", 2},         // cut short
      {"\xC3\x28", 0},           // a lead without continuation
      {"a\xC0\xAF", 1},          // overlong
      {"a\xC1\xBF", 1},          // overlong
      {"a\xE0\x80\xAF", 1},      // overlong
      {"a\xF0\x80\x80\xAF", 1},  // overlong
      {"ab\xED\xA0\x80", 2},     // surrogate
      {"\xF4\x90\x80\x80", 0},   // above U+10FFFF
      {"\xF5\x80\x80\x80", 0},   // no such lead
      {"\xC3\xA9\xFF", 2},
  };
  for (const auto& [text, offset] : cases) {
    const auto tokenizer = CharTokenizer::FromText(text);
    ASSERT_FALSE(tokenizer.ok()) << text;
    EXPECT_EQ(ExitCodeOf(tokenizer.status()), ExitCode::kData);
    EXPECT_EQ(MessageOf(tokenizer.status()), "text is not UTF-8 at byte " + std::to_string(offset));
  }
}

TEST(CharTokenizer, AnUnknownCharacterIsNamed) {
  const auto tokenizer = CharTokenizer::FromText("abc");
  ASSERT_TRUE(tokenizer.ok());
  const auto ids = tokenizer->Encode("ab\xE2\x82\xAC");
  ASSERT_FALSE(ids.ok());
  EXPECT_EQ(ExitCodeOf(ids.status()), ExitCode::kData);
  EXPECT_NE(MessageOf(ids.status()).find("'\xE2\x82\xAC' (U+20AC) is not in the vocabulary of 3"), std::string::npos)
      << ids.status();
}

TEST(CharTokenizer, AnIdOutsideOfTheVocabularyIsAnError) {
  const auto tokenizer = CharTokenizer::FromText("abc");
  ASSERT_TRUE(tokenizer.ok());
  for (int64_t id : {-1, 3}) EXPECT_THROW(tokenizer->Decode(at::full({1}, id, c10::kLong)), c10::Error);
}

TEST(CharTokenizer, EmptyTextHasAnEmptyVocabulary) {
  const auto tokenizer = CharTokenizer::FromText("");
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_EQ(tokenizer->vocab_size(), 0);
  EXPECT_EQ(tokenizer->Encode("")->numel(), 0);
}

}  // namespace
}  // namespace lanthorn::data
