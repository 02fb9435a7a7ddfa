// UTF-8 text to code points and back, and the vocabulary over them.
#include "engine/data/tokenizer.h"

#include <ATen/Functions.h>

#include "absl/strings/str_format.h"

namespace lanthorn::data {
namespace {

// Decodes one code point at `at`, moving it on; false for broken UTF-8 (overlong forms and surrogates included).
bool DecodeOne(const std::string& text, size_t* at, char32_t* out) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(*at);
  if (lead < 0x80) {
    *out = lead;
    ++*at;
    return true;
  }
  const int extra = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC2 ? 1 : -1;
  if (extra < 0 || lead > 0xF4 || *at + static_cast<size_t>(extra) >= text.size()) return false;
  char32_t point = lead & (0x3F >> extra);
  for (int k = 1; k <= extra; ++k) {
    if ((byte(*at + static_cast<size_t>(k)) & 0xC0) != 0x80) return false;
    point = (point << 6) | (byte(*at + static_cast<size_t>(k)) & 0x3F);
  }
  constexpr char32_t kSmallest[] = {0, 0x80, 0x800, 0x10000};
  if (point < kSmallest[extra] || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000)) return false;
  *out = point;
  *at += static_cast<size_t>(extra) + 1;
  return true;
}

void EncodeOne(char32_t point, std::string* text) {
  if (point < 0x80) {
    text->push_back(static_cast<char>(point));
    return;
  }
  const int extra = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
  constexpr unsigned char kLead[] = {0, 0xC0, 0xE0, 0xF0};
  text->push_back(static_cast<char>(kLead[extra] | (point >> (6 * extra))));
  for (int k = extra - 1; k >= 0; --k) text->push_back(static_cast<char>(0x80 | ((point >> (6 * k)) & 0x3F)));
}

absl::StatusOr<std::vector<char32_t>> Decode(const std::string& text) {
  std::vector<char32_t> points;
  points.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    char32_t point;
    if (!DecodeOne(text, &at, &point)) return DataError(absl::StrFormat("text is not UTF-8 at byte %d", at));
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

absl::StatusOr<at::Tensor> CharTokenizer::Encode(const std::string& text) const {
  LANTHORN_ASSIGN_OR_RETURN(const std::vector<char32_t> points, lanthorn::data::Decode(text));
  at::Tensor ids = at::empty({static_cast<int64_t>(points.size())}, at::TensorOptions(c10::kLong));
  int64_t* out = ids.data_ptr<int64_t>();
  for (size_t i = 0; i < points.size(); ++i) {
    const auto found = std::lower_bound(characters_.begin(), characters_.end(), points[i]);
    if (found == characters_.end() || *found != points[i]) {
      std::string character;
      EncodeOne(points[i], &character);
      return DataError(absl::StrFormat("character '%s' (U+%04X) is not in the vocabulary of %d characters", character,
                                       static_cast<uint32_t>(points[i]), characters_.size()));
    }
    out[i] = found - characters_.begin();
  }
  return ids;
}

std::string CharTokenizer::Decode(const at::Tensor& ids) const {
  const at::Tensor flat = ids.to(c10::kCPU, c10::kLong).contiguous();
  std::string text;
  for (int64_t i = 0; i < flat.numel(); ++i) {
    const int64_t id = flat.data_ptr<int64_t>()[i];
    TORCH_CHECK(id >= 0 && id < vocab_size(), "[decode] id ", id, " is outside of the vocabulary of ", vocab_size());
    EncodeOne(characters_[static_cast<size_t>(id)], &text);
  }
  return text;
}

}  // namespace lanthorn::data
