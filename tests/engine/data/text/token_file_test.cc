#include "engine/data/text/token_file.h"

#include <ATen/Functions.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "absl/strings/ascii.h"
#include "engine/base/files/files.h"
#include "engine/base/files/syscalls.h"
#include "tests/engine/temporary_folder.h"

namespace lanthorn::data {
namespace {

class TokenFileTest : public testing::Test {
 protected:
  std::string Write(const std::string& text) {
    EXPECT_TRUE(WriteFileAtomic(path_, text, /*sync=*/false).ok());
    return path_;
  }
  TokenFileOptions Kept(TokenKind kind = TokenKind::kCharacters) {
    TokenFileOptions options;
    options.kind = kind;
    options.keep_from_bytes = 0;
    return options;
  }
  std::shared_ptr<const TokenFile> Open(const TokenFileOptions& options) {
    auto made = TokenFile::Open(path_, options);
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *made : nullptr;
  }
  static std::vector<std::string> Tokens(const TokenFile& file) {
    std::vector<std::string> tokens;
    const at::Tensor numbers = file.ids().ToTensor();
    for (int64_t i = 0; i < numbers.numel(); ++i)
      tokens.push_back(file.tokens()[static_cast<size_t>(numbers.data_ptr<int64_t>()[i])]);
    return tokens;
  }
  static std::string Joined(const TokenFile& file) {
    std::string text;
    for (const std::string& token : Tokens(file)) text += token;
    return text;
  }
  // What is in the folder beside the text.
  std::vector<std::string> Others() {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path()))
      if (entry.path() != path_) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }

  TemporaryFolder folder_;
  const std::string path_ = folder_ / "t.txt";
};

// Text of `count` random characters, of which about one in `rare` has several bytes.
std::string RandomText(int64_t count, uint64_t seed, uint64_t rare) {
  std::mt19937_64 random(seed);
  const char* const kLong[] = {"\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x8C\x8A", "\xC2\xA9"};
  std::string text;
  for (int64_t i = 0; i < count; ++i) {
    if (random() % rare == 0) {
      text += kLong[random() % 4];
    } else {
      text += "abcdefg hij\nk"[random() % 13];
    }
  }
  return text;
}

TEST_F(TokenFileTest, NumbersAreInTheOrderOfAppearanceInOneByte) {
  Write("banana!");
  const auto file = Open({});
  EXPECT_EQ(file->tokens(), (std::vector<std::string>{"b", "a", "n", "!"}));
  EXPECT_EQ(Joined(*file), "banana!");
  EXPECT_EQ(file->ids().width(), 1);
  EXPECT_EQ(file->sha256(), Sha256Hex("banana!"));
  EXPECT_TRUE(Others().empty());  // a short text is not worth a file
}

TEST_F(TokenFileTest, LongTextsInPiecesComeBackWhole) {
  for (uint64_t seed : {1, 2, 3}) {
    const std::string text = RandomText(3'000'000, seed, 5);  // several pieces of 1 MiB, cut within characters
    Write(text);
    EXPECT_EQ(Joined(*Open(Kept())), text);  // read from the text
    EXPECT_EQ(Joined(*Open(Kept())), text);  // from what was kept
  }
}

TEST_F(TokenFileTest, ManyTokensWidenTheirNumbers) {
  std::string text = "first ";
  for (int i = 0; i < 70'000; ++i) text += std::to_string(i) + " ";
  Write(text);
  const auto words = Open(Kept(TokenKind::kWords));
  EXPECT_EQ(words->ids().width(), 4);
  EXPECT_EQ(words->ids().size(), 70'001);
  const std::vector<std::string> tokens = Tokens(*words);
  EXPECT_EQ(tokens[0], "first");
  for (size_t i = 1; i < tokens.size(); ++i) ASSERT_EQ(tokens[i], std::to_string(i - 1));
  Write(text.substr(0, 6000));
  EXPECT_EQ(Open(Kept(TokenKind::kWords))->ids().width(), 2);
}

TEST_F(TokenFileTest, WhatIsKeptIsUsedAgainAndIsTheSame) {
  Write(RandomText(20'000, 4, 50));
  const auto first = Open(Kept());
  EXPECT_EQ(first->kept_in(), path_ + ".characters.tokens");
  EXPECT_EQ(Others(), std::vector<std::string>{"t.txt.characters.tokens"});
  const auto time = std::filesystem::last_write_time(first->kept_in());
  struct stat before, after;
  stat(first->kept_in().c_str(), &before);
  const auto second = Open(Kept());
  stat(first->kept_in().c_str(), &after);
  EXPECT_EQ(before.st_ino, after.st_ino);
  EXPECT_EQ(std::filesystem::last_write_time(first->kept_in()), time);
  EXPECT_EQ(second->kept_in(), first->kept_in());
  EXPECT_EQ(second->note(), "");
  EXPECT_EQ(second->sha256(), first->sha256());
  EXPECT_EQ(Tokens(*second), Tokens(*first));
}

TEST_F(TokenFileTest, AChangedTextOfTheSameLengthIsReadAnew) {
  std::string text = RandomText(20'000, 5, 1'000'000);
  Write(text);
  const auto before = Open(Kept());
  text[19'999] = 'Z';
  Write(text);
  const auto after = Open(Kept());
  EXPECT_EQ(Joined(*after), text);
  EXPECT_EQ(after->sha256(), Sha256Hex(text));
  EXPECT_NE(after->note().find("of another text"), std::string::npos) << after->note();
  EXPECT_EQ(Joined(*before).back(),
            before->tokens()[before->ids().ToTensor()[-1].item<int64_t>()][0]);  // still readable
}

TEST_F(TokenFileTest, ACutOrDamagedFileIsMadeAnewAtEveryPlace) {
  const std::string text = RandomText(9'000, 6, 20);
  Write(text);
  const std::string kept = Open(Kept())->kept_in();
  const std::string whole = ReadFile(kept).value();
  for (size_t cut : {size_t{0}, size_t{7}, size_t{100}, whole.size() / 2, whole.size() - 1}) {
    ASSERT_TRUE(WriteFileAtomic(kept, whole.substr(0, cut), false).ok());
    const auto file = Open(Kept());
    EXPECT_EQ(Joined(*file), text);
    EXPECT_NE(file->note().find("is rebuilt"), std::string::npos) << file->note();
    EXPECT_EQ(ReadFile(kept).value(), whole) << cut;
  }
  for (size_t at = 0; at < whole.size(); at += 97) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    ASSERT_TRUE(WriteFileAtomic(kept, damaged, false).ok());
    ASSERT_EQ(Joined(*Open(Kept())), text) << "byte " << at;
    ASSERT_EQ(ReadFile(kept).value(), whole) << "byte " << at;
  }
}

TEST_F(TokenFileTest, AFolderThatCannotBeWrittenSendsTheFileElsewhereOrNowhere) {
  const std::string text = RandomText(9'000, 7, 20);
  Write(text);
  // A folder in the way of the file: root may write read-only folders, so that would prove nothing.
  std::filesystem::create_directories(path_ + ".characters.tokens/x");
  TokenFileOptions options = Kept();
  auto file = Open(options);
  EXPECT_EQ(Joined(*file), text);
  EXPECT_EQ(file->kept_in(), "");
  EXPECT_NE(file->note(), "");
  options.other_folder = folder_ / "other/place";
  file = Open(options);
  EXPECT_EQ(Joined(*file), text);
  EXPECT_EQ(file->kept_in().rfind(options.other_folder + "/", 0), 0u) << file->kept_in();
  EXPECT_EQ(Open(options)->note(), "");
}

TEST_F(TokenFileTest, AFullDiskLeavesNothingAndStopsNothing) {
  const std::string text = RandomText(9'000, 8, 20);
  Write(text);
  for (const char* call : {"write", "rename"}) {
    sys::SetFaultHook([&](const char* name, const std::string& path) {
      return std::string(name) == call && path.find("tokens") != std::string::npos &&
                     path.find("memory") == std::string::npos
                 ? ENOSPC
                 : 0;
    });
    const auto file = Open(Kept());
    sys::SetFaultHook({});
    EXPECT_EQ(Joined(*file), text) << call;
    EXPECT_NE(file->note().find("No space left"), std::string::npos) << file->note();
    EXPECT_TRUE(Others().empty()) << call << ": " << Others()[0];
  }
}

TEST_F(TokenFileTest, ProcessesMayReadAndWriteItAtOnce) {
  const std::string text = RandomText(300'000, 9, 20);
  Write(text);
  std::vector<pid_t> children;
  for (int i = 0; i < 6; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      bool same = true;
      for (int k = 0; k < 5; ++k) {
        if ((i + k) % 3 == 0) unlink((path_ + ".characters.tokens").c_str());
        const auto file = TokenFile::Open(path_, Kept());
        same = same && file.ok() && Joined(**file) == text;
      }
      _exit(same ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  for (const std::string& name : Others()) EXPECT_EQ(name, "t.txt.characters.tokens");
}

TEST_F(TokenFileTest, ATextThatWasNotExpectedLeavesNoFile) {
  Write("changed");
  TokenFileOptions options = Kept();
  options.expected_sha256 = std::string(64, '0');
  const auto refused = TokenFile::Open(path_, options);
  EXPECT_EQ(ExitCodeOf(refused.status()), ExitCode::kData);
  EXPECT_NE(MessageOf(refused.status()).find(Sha256Hex("changed")), std::string::npos);
  EXPECT_TRUE(Others().empty());
}

TEST_F(TokenFileTest, BrokenTextIsADataErrorWithItsByteAndLeavesNoFile) {
  const std::pair<std::string, std::string> cases[] = {
      {std::string(1'100'000, 'a') + "\x80", "byte 1100000"},
      {std::string((1 << 20) - 1, 'a') + "\xC3", "byte 1048575"},
      {std::string((1 << 20) - 1, 'a') + "\xC3\x28", "byte 1048575"},
      {"\xEF\xBB\xBF"
       "ab\xED\xA0\x80",
       "byte 5"},
  };
  for (const auto& [text, place] : cases) {
    Write(text);
    const auto refused = TokenFile::Open(path_, Kept());
    EXPECT_EQ(ExitCodeOf(refused.status()), ExitCode::kData);
    EXPECT_NE(MessageOf(refused.status()).find("not UTF-8 at " + place), std::string::npos) << refused.status();
    EXPECT_TRUE(Others().empty());
  }
}

TEST_F(TokenFileTest, CarriageReturnsAreKeptOrReadAsLineFeeds) {
  // A CR at the end of a piece and its LF at the beginning of the next.
  const std::string text = "a\r\nb\rc\n\r" + std::string((1 << 20) - 9, 'x') + "\r\n\r";
  Write(text);
  EXPECT_EQ(Joined(*Open(Kept())), text);
  TokenFileOptions options = Kept();
  options.newlines = Newlines::kLf;
  EXPECT_EQ(Joined(*Open(options)), "a\nb\nc\n\n" + std::string((1 << 20) - 9, 'x') + "\n\n");
}

TEST_F(TokenFileTest, AByteOrderMarkIsNoCharacter) {
  Write(
      "\xEF\xBB\xBF"
      "ab");
  const auto file = Open({});
  EXPECT_EQ(Joined(*file), "ab");
  EXPECT_EQ(file->TokensBefore(3).value(), 0);
  EXPECT_EQ(file->TokensBefore(4).value(), 1);
}

TEST_F(TokenFileTest, TokensAreCountedUpToAnyByte) {
  for (const TokenKind kind : {TokenKind::kCharacters, TokenKind::kWords}) {
    const std::string text = RandomText(40'000, 10, 7);
    Write(text);
    const auto file = Open(Kept(kind));
    std::mt19937_64 random(11);
    for (int i = 0; i < 300; ++i) {
      const int64_t at = i == 0 ? 0 : i == 1 ? static_cast<int64_t>(text.size()) : random() % text.size();
      const int64_t cut = file->CutAt(at).value();
      ASSERT_GE(cut, at);
      // Straightforward: split what stands before the cut.
      int64_t expected = 0;
      bool in_word = false;
      for (int64_t k = 0; k < cut; ++k) {
        const auto byte = static_cast<unsigned char>(text[static_cast<size_t>(k)]);
        if (kind == TokenKind::kCharacters) {
          expected += (byte & 0xC0) != 0x80;
        } else {
          expected += !absl::ascii_isspace(byte) && !in_word;
          in_word = !absl::ascii_isspace(byte);
        }
      }
      ASSERT_EQ(file->TokensBefore(cut).value(), expected) << "byte " << at;
    }
  }
}

TEST_F(TokenFileTest, ForgottenMemoryComesBack) {
  const std::string text = RandomText(500'000, 12, 9);
  Write(text);
  for (const int64_t keep : {0, -1}) {
    TokenFileOptions options;
    options.keep_from_bytes = keep;
    const auto file = Open(options);
    file->Forget();
    EXPECT_EQ(Joined(*file), text);
  }
}

TEST(TokenIds, ATableGivesOtherIdsOfTheSameNumbers) {
  const TokenIds ids = TokenIds::FromTensor(at::tensor({0, 1, 2, 1, 300}, c10::kLong));
  EXPECT_EQ(ids.width(), 2);
  auto table = std::make_shared<std::vector<int64_t>>(301, 7);
  (*table)[1] = 1 << 20;
  const at::Tensor seen = ids.Under(table).Slice(1, 4).ToTensor();
  EXPECT_TRUE(at::equal(seen, at::tensor({1 << 20, 7, 1 << 20, 7}, c10::kLong)));
  EXPECT_TRUE(at::equal(ids.Slice(3, 2).ToTensor(), at::tensor({1, 300}, c10::kLong)));
  EXPECT_EQ(ids.Counts(301)[1], 2);
}

TEST(TokenIds, RefusesWhatItCannotHold) {
  EXPECT_THROW(TokenIds::FromTensor(at::full({1}, -1, c10::kLong)), c10::Error);
  EXPECT_THROW(TokenIds::FromTensor(at::full({1}, int64_t{1} << 32, c10::kLong)), c10::Error);
  EXPECT_EQ(TokenIds::FromTensor(at::full({1}, (int64_t{1} << 32) - 1, c10::kLong)).width(), 4);
  const TokenIds three = TokenIds::FromTensor(at::arange(3, c10::kLong));
  EXPECT_THROW(three.Slice(1, 3), c10::Error);
  EXPECT_EQ(TokenIds().size(), 0);
}

// The text is 'a', CR, LF and so on; a kept file of it was made by somebody who wanted the carriage returns.
TEST_F(TokenFileTest, CarriageReturnsThatNobodyAskedForAreRefusedWithAKeptFileToo) {
  Write("one\r\ntwo\r\nthree\r");
  TokenFileOptions asks = Kept();
  asks.newlines_option_of = "data";
  const auto expect_refused = [&] {
    const auto made = TokenFile::Open(path_, asks);
    EXPECT_EQ(ExitCodeOf(made.status()), ExitCode::kData);
    EXPECT_NE(MessageOf(made.status()).find("2 lines end with CR LF and 1 with CR alone; data.newlines=lf"),
              std::string::npos)
        << made.status();
  };
  expect_refused();
  EXPECT_TRUE(Others().empty());
  const auto kept = Open(Kept());
  EXPECT_EQ(Joined(*kept), "one\r\ntwo\r\nthree\r");
  EXPECT_EQ(kept->text_note(), "2 lines end with CR LF and 1 with CR alone; carriage returns are characters of it");
  EXPECT_EQ(Others().size(), 1u);
  expect_refused();

  TokenFileOptions converts = Kept();
  converts.newlines = Newlines::kLf;
  for (int i = 0; i < 2; ++i) {  // made, then loaded
    const auto file = Open(converts);
    EXPECT_EQ(Joined(*file), "one\ntwo\nthree\n");
    EXPECT_EQ(file->text_note(), "2 lines end with CR LF and 1 with CR alone, read as LF");
  }
  asks.kind = TokenKind::kWords;
  EXPECT_EQ(Open(asks)->ids().size(), 3);
}

// An e with an acute accent in UTF-16 is not UTF-8 either, which does not matter here.
TEST_F(TokenFileTest, AnotherEncodingIsNamedBeforeTheByteThatIsNotUtf8) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += std::string("a\0\xE9\0\n\0", 6);
  Write(text);
  const auto made = TokenFile::Open(path_, Kept());
  EXPECT_EQ(ExitCodeOf(made.status()), ExitCode::kData);
  EXPECT_NE(MessageOf(made.status()).find("iconv -f UTF-16LE -t UTF-8"), std::string::npos) << made.status();
  EXPECT_TRUE(Others().empty());
}

}  // namespace
}  // namespace lanthorn::data
