// UTF-8 text to code points and back, and the vocabulary over them.
#include "engine/data/text/tokenizer.h"

#include <ATen/Functions.h>

#include "absl/strings/str_format.h"
#include "engine/base/text/utf8.h"

namespace lanthorn::data {
namespace {

absl::StatusOr<std::vector<char32_t>> Decode(const std::string& text) {
  std::vector<char32_t> points;
  points.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    char32_t point;
    if (ReadPoint(text.data(), text.size(), &at, &point) != Utf8::kPoint)
      return DataError(absl::StrFormat("text is not UTF-8 at byte %d", at));
    points.push_back(point);
  }
  return points;
}

}  // namespace

absl::StatusOr<CharTokenizer> CharTokenizer::FromText(const std::string& text) {
  LANTHORN_ASSIGN_OR_RETURN(std::vector<char32_t> points, lanthorn::data::Decode(text));
  std::sort(points.begin(), points.end());
  points.erase(std::unique(points.begin(), points.end()), points.end());
  CharTokenizer tokenizer;
  tokenizer.characters_ = std::move(points);
  return tokenizer;
}

CharTokenizer CharTokenizer::FromCharacters(const std::vector<std::string>& characters, bool bos_eos) {
  CharTokenizer tokenizer;
  if (bos_eos) tokenizer.first_ = 2;
  for (const std::string& character : characters) {
    size_t at = 0;
    char32_t point = 0;
    LANTHORN_CHECK(ReadPoint(character.data(), character.size(), &at, &point) == Utf8::kPoint);
    tokenizer.characters_.push_back(point);
  }
  std::sort(tokenizer.characters_.begin(), tokenizer.characters_.end());
  return tokenizer;
}

std::vector<int64_t> CharTokenizer::IdsOf(const std::vector<std::string>& tokens) const {
  std::vector<int64_t> ids;
  for (const std::string& token : tokens) {
    size_t at = 0;
    char32_t point = 0;
    LANTHORN_CHECK(ReadPoint(token.data(), token.size(), &at, &point) == Utf8::kPoint);
    const auto found = std::lower_bound(characters_.begin(), characters_.end(), point);
    ids.push_back(found == characters_.end() || *found != point ? unknown() : first_ + (found - characters_.begin()));
  }
  return ids;
}

absl::StatusOr<at::Tensor> CharTokenizer::Encode(const std::string& text) const {
  LANTHORN_ASSIGN_OR_RETURN(const std::vector<char32_t> points, lanthorn::data::Decode(text));
  at::Tensor ids = at::empty({static_cast<int64_t>(points.size())}, at::TensorOptions(c10::kLong));
  int64_t* out = ids.data_ptr<int64_t>();
  for (size_t i = 0; i < points.size(); ++i) {
    const auto found = std::lower_bound(characters_.begin(), characters_.end(), points[i]);
    if (found == characters_.end() || *found != points[i]) {
      std::string character;
      AppendPoint(points[i], &character);
      return DataError(absl::StrFormat("character '%s' (U+%04X) is not in the vocabulary of %d characters", character,
                                       static_cast<uint32_t>(points[i]), characters_.size()));
    }
    out[i] = first_ + (found - characters_.begin());
  }
  return ids;
}

std::string CharTokenizer::Decode(const at::Tensor& ids) const {
  const at::Tensor flat = ids.to(c10::kCPU, c10::kLong).contiguous();
  std::string text;
  for (int64_t i = 0; i < flat.numel(); ++i) {
    const int64_t id = flat.data_ptr<int64_t>()[i];
    TORCH_CHECK(id >= 0 && id < vocab_size(), "[decode] id ", id, " is outside of the vocabulary of ", vocab_size());
    if (id >= first_) AppendPoint(characters_[static_cast<size_t>(id - first_)], &text);
  }
  return text;
}

}  // namespace lanthorn::data
