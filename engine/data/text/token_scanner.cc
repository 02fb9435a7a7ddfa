#include "engine/data/text/token_scanner.h"

#include <array>
#include <cstring>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "engine/base/text/utf8.h"

namespace lanthorn::data {
namespace {

class CharacterScanner final : public TokenScanner {
 public:
  CharacterScanner(Newlines newlines, int64_t offset) : TokenScanner(offset), convert_(newlines == Newlines::kLf) {
    numbers_of_bytes_.fill(kNoNumber);
  }

  absl::StatusOr<size_t> Take(const char* bytes, size_t size, bool last) override {
    size_t at = ByteOrderMark(bytes, size);
    const auto* const all = reinterpret_cast<const unsigned char*>(bytes);
    while (at < size) {
      // Nearly all of a text: characters of one byte that were seen before.
      at += AppendRun(size - at, [&](size_t i) { return numbers_of_bytes_[all[at + i]]; });
      if (at == size) break;
      const size_t begin = at;
      const unsigned char lead = static_cast<unsigned char>(bytes[at]);
      if (lead < 0x80) {
        if (lead == '\r' && convert_) {
          if (at + 1 == size && !last) break;  // a line feed may follow
          if (at + 1 < size && bytes[at + 1] == '\n') ++at;
          Append(Number('\n'), offset_ + static_cast<int64_t>(begin));
        } else {
          Append(Number(lead), offset_ + static_cast<int64_t>(begin));
        }
        ++at;
        continue;
      }
      char32_t point = 0;
      const Utf8 read = ReadPoint(bytes, size, &at, &point);
      if (read == Utf8::kCut && !last) break;
      if (read != Utf8::kPoint) {
        return DataError(absl::StrFormat("text is not UTF-8 at byte %d", offset_ + static_cast<int64_t>(begin)));
      }
      const auto [found, fresh] = others_.try_emplace(point, static_cast<uint32_t>(tokens_.size()));
      if (fresh) Name(point);
      Append(found->second, offset_ + static_cast<int64_t>(begin));
    }
    offset_ += static_cast<int64_t>(at);
    return at;
  }

 private:
  uint32_t Number(unsigned char character) {
    if (numbers_of_bytes_[character] != kNoNumber) return numbers_of_bytes_[character];
    const auto number = static_cast<uint32_t>(tokens_.size());
    Name(character);
    numbers_of_bytes_[character] = number;
    return number;
  }
  void Name(char32_t point) {
    std::string text;
    AppendPoint(point, &text);
    tokens_.push_back(std::move(text));
  }

  bool convert_;
  std::array<uint32_t, 256> numbers_of_bytes_;  // of those below 128 that were seen
  absl::flat_hash_map<char32_t, uint32_t> others_;
};

// What stands between white space, ASCII letters in lower case.
class WordScanner final : public TokenScanner {
 public:
  explicit WordScanner(int64_t offset) : TokenScanner(offset) {}

  absl::StatusOr<size_t> Take(const char* bytes, size_t size, bool last) override {
    const auto is_space = [&](size_t i) { return absl::ascii_isspace(static_cast<unsigned char>(bytes[i])); };
    size_t at = ByteOrderMark(bytes, size);
    while (true) {
      while (at < size && is_space(at)) ++at;
      const size_t begin = at;
      word_.clear();
      while (at < size && !is_space(at)) word_.push_back(absl::ascii_tolower(static_cast<unsigned char>(bytes[at++])));
      if (at == size && !last) {  // the word may go on
        offset_ += static_cast<int64_t>(begin);
        return begin;
      }
      if (at == begin) break;
      auto found = numbers_of_.find(word_);
      if (found == numbers_of_.end()) {
        found = numbers_of_.emplace(word_, static_cast<uint32_t>(tokens_.size())).first;
        tokens_.push_back(word_);
      }
      Append(found->second, offset_ + static_cast<int64_t>(begin));
    }
    offset_ += static_cast<int64_t>(at);
    return at;
  }

 private:
  std::string word_;
  absl::flat_hash_map<std::string, uint32_t> numbers_of_;
};

}  // namespace

size_t TokenScanner::ByteOrderMark(const char* bytes, size_t size) const {
  constexpr char kMark[] = "\xEF\xBB\xBF";
  return offset_ == 0 && size >= 3 && std::memcmp(bytes, kMark, 3) == 0 ? 3 : 0;
}

std::unique_ptr<TokenScanner> TokenScanner::Make(TokenKind kind, Newlines newlines, int64_t offset) {
  if (kind == TokenKind::kWords) return std::make_unique<WordScanner>(offset);
  return std::make_unique<CharacterScanner>(newlines, offset);
}

}  // namespace lanthorn::data
