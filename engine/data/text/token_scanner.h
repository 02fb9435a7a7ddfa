// Tokens of a text that comes in pieces, numbered in the order in which they first appear.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/data/text/token_options.h"

namespace lanthorn::data {

class TokenScanner {
 public:
  // The place in the text of every so many-th token is kept.
  static constexpr int64_t kMarkEvery = 4096;

  // `offset` is the byte of the text at which scanning begins.
  static std::unique_ptr<TokenScanner> Make(TokenKind kind, Newlines newlines, int64_t offset = 0);
  virtual ~TokenScanner() = default;

  // Reads whole tokens from the next bytes and returns how many bytes they took; the rest, of a token that is not at
  // its end, must come again with what follows, unless it is the `last`. A byte order mark is passed over. DataError
  // for text that is not UTF-8, with the byte.
  virtual absl::StatusOr<size_t> Take(const char* bytes, size_t size, bool last) = 0;

  // Numbers of the tokens since they were last cleared, by whoever wrote them away.
  std::vector<uint32_t>& numbers() { return numbers_; }
  // Each token's text, by its number.
  const std::vector<std::string>& tokens() const { return tokens_; }
  // The byte at which token 0, kMarkEvery, 2 kMarkEvery ... begins.
  const std::vector<int64_t>& marks() const { return marks_; }

 protected:
  explicit TokenScanner(int64_t offset) : offset_(offset) {}
  // How many bytes the mark takes that some editors put at the beginning of UTF-8.
  size_t ByteOrderMark(const char* bytes, size_t size) const;
  void Append(uint32_t number, int64_t begin) {
    if (count_++ % kMarkEvery == 0) marks_.push_back(begin);
    numbers_.push_back(number);
  }

  // Appends next(i) for i = 0, 1 ... as long as that is a number below kNoNumber, at most `most` and not up to a token
  // whose place is kept. Returns how many.
  static constexpr uint32_t kNoNumber = ~uint32_t{0};
  template <typename Next>
  size_t AppendRun(size_t most, const Next& next) {
    const int64_t behind = count_ % kMarkEvery;
    const size_t room = behind == 0 ? 0 : std::min(most, static_cast<size_t>(kMarkEvery - behind));
    const size_t before = numbers_.size();
    numbers_.resize(before + room);
    uint32_t* const out = numbers_.data() + before;
    size_t taken = 0;
    for (uint32_t number; taken < room && (number = next(taken)) != kNoNumber; ++taken) out[taken] = number;
    numbers_.resize(before + taken);
    count_ += static_cast<int64_t>(taken);
    return taken;
  }

  std::vector<std::string> tokens_;
  int64_t offset_;  // of the next byte

 private:
  std::vector<uint32_t> numbers_;
  std::vector<int64_t> marks_;
  int64_t count_ = 0;
};

}  // namespace lanthorn::data
