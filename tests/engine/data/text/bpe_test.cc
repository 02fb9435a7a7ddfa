// Byte-level BPE: GPT-2's words and byte characters, merges by rank, files that do not fit, and merges from pieces.
#include "engine/data/text/bpe.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "engine/base/files/files.h"
#include "engine/data/text/word_split.h"
#include "tests/engine/temporary_folder.h"

namespace lanthorn::data {
namespace {

std::vector<std::string> PiecesOf(std::string_view text) {
  std::vector<std::string> pieces;
  EXPECT_TRUE(ForPieces(text, [&](std::string_view piece) { pieces.emplace_back(piece); }).ok());
  return pieces;
}

TEST(WordSplit, PiecesAreThoseOfGpt2) {
  using Pieces = std::vector<std::string>;
  EXPECT_EQ(PiecesOf("Hello world!"), (Pieces{"Hello", " world", "!"}));
  EXPECT_EQ(PiecesOf("I'm they'll  two\n\n  x1 2345."),
            (Pieces{"I", "'m", " they", "'ll", " ", " two", "\n\n ", " x", "1", " 2345", "."}));
  EXPECT_EQ(PiecesOf("caf\xc3\xa9 na\xc3\xafve \xe4\xb8\xad\xe6\x96\x87"),
            (Pieces{"caf\xc3\xa9", " na\xc3\xafve", " \xe4\xb8\xad\xe6\x96\x87"}));
  EXPECT_EQ(PiecesOf("a   "), (Pieces{"a", "   "}));
  EXPECT_TRUE(PiecesOf("").empty());
  const absl::Status broken = ForPieces("ab\xff", [](std::string_view) {});
  EXPECT_EQ(MessageOf(broken), "text is not UTF-8 at byte 2");
}

TEST(Bpe, BytesHaveThePublishedCharacters) {
  EXPECT_EQ(ByteSymbol(' '), "\xc4\xa0");   // U+0120
  EXPECT_EQ(ByteSymbol('\n'), "\xc4\x8a");  // U+010A
  EXPECT_EQ(ByteSymbol('A'), "A");
  EXPECT_EQ(ByteSymbol(0x7f), "\xc4\xa1");  // U+0121
  EXPECT_EQ(ByteSymbol(0xad), "\xc5\x83");  // U+0143
  for (int byte = 0; byte < 256; ++byte)
    EXPECT_EQ(*BytesOfSymbols(ByteSymbol(static_cast<unsigned char>(byte))), std::string(1, static_cast<char>(byte)));
  EXPECT_FALSE(BytesOfSymbols("\xe4\xb8\xad").ok());
}

// The 256 bytes and some merges, in GPT-2's manner.
BpeTokenizer Small() {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.push_back(ByteSymbol(static_cast<unsigned char>(byte)));
  const std::string space = ByteSymbol(' ');
  for (const char* token : {"lo", "low", "er", "ne"}) tokens.push_back(token);
  tokens.push_back(space + "low");
  tokens.push_back("<|endoftext|>");
  return *BpeTokenizer::Make(tokens, {{"l", "o"}, {"e", "r"}, {"lo", "w"}, {"n", "e"}, {space, "low"}}, "small");
}

std::vector<int64_t> Ids(const BpeTokenizer& tokenizer, const std::string& text) { return *tokenizer.Ids(text); }

TEST(Bpe, PairsOfLeastRankAreJoinedFirst) {
  const BpeTokenizer tokenizer = Small();
  EXPECT_EQ(tokenizer.vocab_size(), 262);
  EXPECT_EQ(tokenizer.end(), 261);
  const auto byte = [](char c) { return static_cast<int64_t>(static_cast<unsigned char>(c)); };
  EXPECT_EQ(Ids(tokenizer, "lower"), (std::vector<int64_t>{257, 258}));
  EXPECT_EQ(Ids(tokenizer, "low lower"), (std::vector<int64_t>{257, 260, 258}));
  EXPECT_EQ(Ids(tokenizer, "newer"), (std::vector<int64_t>{259, byte('w'), 258}));
  EXPECT_EQ(Ids(tokenizer, "ner"), (std::vector<int64_t>{byte('n'), 258}));  // er before ne
  EXPECT_EQ(Ids(tokenizer, ""), (std::vector<int64_t>{}));
  // The end of a text is no text.
  EXPECT_EQ(Ids(tokenizer, "<|endoftext|>").size(), 13u);
}

TEST(Bpe, EveryTextComesBack) {
  const BpeTokenizer tokenizer = Small();
  for (const std::string& text :
       {std::string("low lower, newest\n\tlow"), std::string("caf\xc3\xa9 \xe4\xb8\xad\xf0\x9f\x98\x80!"),
        std::string("a\0b", 3), std::string("   ")}) {
    EXPECT_EQ(tokenizer.Decode(*tokenizer.Encode(text)), text);
  }
  EXPECT_EQ(tokenizer.Decode(at::tensor({261, 257}, c10::kLong)), "low");
  EXPECT_THROW(tokenizer.Decode(at::tensor({262}, c10::kLong)), c10::Error);
}

TEST(Bpe, FilesThatDoNotFitAreNamed) {
  TemporaryFolder folder;
  const auto write = [&](const char* name, const std::string& text) {
    ASSERT_TRUE(WriteFileAtomic(folder / name, text).ok());
  };
  const auto refused = [&](const char* words) {
    const auto opened = BpeTokenizer::Open(folder.path());
    EXPECT_EQ(ExitCodeOf(opened.status()), ExitCode::kData);
    EXPECT_NE(MessageOf(opened.status()).find(words), std::string::npos) << opened.status();
  };
  refused("vocab.json': cannot read");
  write("vocab.json", "[1]");
  refused("vocab.json': expected an object of tokens and their ids");
  write("vocab.json", R"({"a": 0, "b": 7})");
  refused("token 'b' has the id 7; ids go from 0 to 1, each once");
  write("vocab.json", R"({"a": 0, "b": 1, "ab": 2})");
  refused("merges.txt': cannot read");
  write("merges.txt", "#version: 0.2\na b\nab\n");
  refused("merges.txt' line 3: expected 'left right', got 'ab'");
  write("merges.txt", "a b\nab c\n");
  refused("merge 2, 'ab c', needs the token 'c', which vocab.json does not have; are both files of one tokenizer?");
  write("merges.txt", "#version: 0.2\r\na b\r\n");
  const auto opened = BpeTokenizer::Open(folder.path());
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(*opened->Ids("abba"), (std::vector<int64_t>{2, 1, 0}));
  EXPECT_EQ(opened->end(), -1);
  EXPECT_EQ(MessageOf(opened->Encode("abc").status()), "byte 0x63 has no token in this vocabulary of 3");
}

// A vocabulary with GPT-2's size and the ids of its published examples; what is between them are marks.
std::string LikeGpt2() {
  const std::string space = ByteSymbol(' ');
  std::map<size_t, std::string> known = {{15496, "Hello"}, {995, space + "world"}, {18435, space + "Hello"}};
  size_t next = 0;
  for (int byte = 0; byte < 256; ++byte) known[next++] = ByteSymbol(static_cast<unsigned char>(byte));
  for (const char* part : {"He", "llo", "ll", "wo", "ld", "rld", "world"}) known[next++] = part;
  known[next++] = space + "w";
  std::string json = "{";
  for (size_t id = 0; id < 50257; ++id) {
    const auto token = known.find(id);
    absl::StrAppend(&json, id > 0 ? "," : "",
                    nlohmann::json(token != known.end() ? token->second : absl::StrCat("<", id, ">")).dump(), ":", id);
  }
  return json + "}";
}

TEST(Bpe, Gpt2sOwnFilesGiveItsPublishedIds) {
  TemporaryFolder folder;
  const std::string space = ByteSymbol(' '), parts = "l l\nl d\nw o\nr ld\nwo rld\n" + space + " world\nll o\nH e\n",
                    whole = "He llo\n" + space + " Hello\n" + space + " w\n";
  ASSERT_TRUE(WriteFileAtomic(folder / "vocab.json", LikeGpt2()).ok());
  ASSERT_TRUE(WriteFileAtomic(folder / "merges.txt", parts + whole).ok());
  const auto opened = BpeTokenizer::Open(folder.path());
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(*opened->Ids("Hello world"), (std::vector<int64_t>{15496, 995}));

  ASSERT_TRUE(WriteFileAtomic(folder / "merges.txt", parts + space + " He\n").ok());
  EXPECT_NE(MessageOf(BpeTokenizer::Open(folder.path()).status()).find("needs the token"), std::string::npos);
  ASSERT_TRUE(WriteFileAtomic(folder / "merges.txt", parts + space + " w\n").ok());
  EXPECT_NE(MessageOf(BpeTokenizer::Open(folder.path()).status())
                .find("no merge makes the token 'Hello' of vocab.json; is merges.txt cut short"),
            std::string::npos);
  // All tokens are made, but in another order: the space joins w before world is there.
  ASSERT_TRUE(WriteFileAtomic(folder / "merges.txt", space + " w\n" + parts + whole).ok());
  const std::string problem = MessageOf(BpeTokenizer::Open(folder.path()).status());
  EXPECT_NE(problem.find("vocab.json is GPT-2's, but 'Hello world' becomes 15496 263 "), std::string::npos) << problem;
  EXPECT_NE(problem.find("not 15496 995 as published; is merges.txt its own?"), std::string::npos) << problem;
}

TEST(Bpe, PiecesOfATrainerBecomeMergesThatReachThem) {
  TemporaryFolder folder;
  const std::string space = ByteSymbol(' ');
  ASSERT_TRUE(WriteFileAtomic(folder / "pieces.vocab", "<unk>\t0\n" + space + "t\t-0\nhe\t-1\n" + space +
                                                           "the\t-2\nxyz\t-3\ner\t-4\nt\t-5\nh\t-6\n")
                  .ok());
  ASSERT_TRUE(WriteBpeFiles(folder / "pieces.vocab", folder / "out").ok());
  EXPECT_EQ(*ReadFile(folder / "out/merges.txt"),
            "#version: 0.2\n" + space + " t\nh e\n" + space + "t he\ne r\n");  // nothing makes xyz of two parts
  const auto opened = BpeTokenizer::Open(folder / "out");
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(opened->vocab_size(), 261);
  EXPECT_EQ(opened->end(), 260);
  EXPECT_EQ(*opened->Ids(" the"), (std::vector<int64_t>{258}));
}

TEST(Bpe, CountsOfPiecesAreInTheirOrder) {
  TemporaryFolder folder;
  ASSERT_TRUE(WriteFileAtomic(folder / "a.txt", "to be or not to be\n").ok());
  ASSERT_TRUE(WritePieceCounts(folder / "a.txt", folder / "a.tsv").ok());
  const std::string s = ByteSymbol(' ');
  // In the order of the bytes of the text.
  EXPECT_EQ(*ReadFile(folder / "a.tsv"),
            ByteSymbol('\n') + "\t1\n" + s + "be\t2\n" + s + "not\t1\n" + s + "or\t1\n" + s + "to\t1\nto\t1\n");
}

}  // namespace
}  // namespace lanthorn::data
