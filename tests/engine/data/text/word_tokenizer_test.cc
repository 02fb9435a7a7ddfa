#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include "engine/data/text/token_scanner.h"
#include "engine/data/text/tokenizer.h"

namespace lanthorn::data {
namespace {

absl::StatusOr<WordTokenizer> FromText(const std::string& text, int64_t vocab) {
  const auto scanner = TokenScanner::Make(TokenKind::kWords, Newlines::kKeep);
  EXPECT_EQ(scanner->Take(text.data(), text.size(), /*last=*/true).value(), text.size());
  absl::flat_hash_map<std::string, int64_t> counts;
  for (uint32_t number : scanner->numbers()) ++counts[scanner->tokens()[number]];
  return WordTokenizer::FromCounts(counts, vocab);
}

std::vector<int64_t> Ids(const Tokenizer& tokenizer, const std::string& text) {
  const at::Tensor ids = *tokenizer.Encode(text);
  return {ids.data_ptr<int64_t>(), ids.data_ptr<int64_t>() + ids.numel()};
}

TEST(WordTokenizer, RanksWordsByFrequencyInLowerCase) {
  const auto made = FromText("The cat\tand the DOG and\nthe end", 100);
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->vocab_size(), 4 + 5);
  // the 3, and 2, then cat, dog, end in the order of their bytes
  EXPECT_EQ(Ids(*made, "the AND cat dog end"), (std::vector<int64_t>{4, 5, 6, 7, 8}));
  EXPECT_EQ(made->Decode(*made->Encode("  The   Cat ")), "the cat");
}

TEST(WordTokenizer, KeepsTheMostFrequentAndMarksTheRestAsUnknown) {
  const auto made = FromText("a a a b b c", 6);
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->vocab_size(), 6);
  EXPECT_EQ(Ids(*made, "a b c d"), (std::vector<int64_t>{4, 5, 1, 1}));
  EXPECT_EQ(made->unknown(), 1);
  EXPECT_EQ(made->Decode(*made->Encode("c a")), "<unk> a");
}

TEST(WordTokenizer, SpecialWordsInTheTextAreTheSpecialTokens) {
  const auto made = FromText("<unk> <unk> <unk> a <eos> b b", 6);
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->vocab_size(), 6);
  EXPECT_EQ(Ids(*made, "<pad> <unk> <BOS> <eos> b a zebra"), (std::vector<int64_t>{0, 1, 2, 3, 4, 5, 1}));
}

TEST(WordTokenizer, OfNothingIsNothing) {
  const auto made = FromText("", 10);
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->vocab_size(), 4);
  EXPECT_EQ(made->Encode(" \n ")->numel(), 0);
  EXPECT_EQ(made->Decode(at::zeros({0}, c10::kLong)), "");
}

TEST(WordTokenizer, RefusesAVocabularyWithoutRoomAndIdsOutsideOfIt) {
  EXPECT_EQ(
      FromText("a b", 4).status().message(),
      "words: a vocabulary of 4 leaves no room for a word beside <pad>, <unk>, <bos> and <eos>; expected at least 5");
  const auto made = FromText("a b", 5);
  EXPECT_THROW(made->Decode(at::full({1}, 5, c10::kLong)), c10::Error);
}

}  // namespace
}  // namespace lanthorn::data
