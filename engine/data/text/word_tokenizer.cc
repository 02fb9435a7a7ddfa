#include <ATen/Functions.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "engine/data/text/tokenizer.h"

namespace lanthorn::data {
namespace {

// Calls take(word) for each word of the text.
template <typename Take>
void ForWords(const std::string& text, const Take& take) {
  const auto is_space = [](char c) { return absl::ascii_isspace(static_cast<unsigned char>(c)); };
  for (size_t at = 0; at < text.size();) {
    while (at < text.size() && is_space(text[at])) ++at;
    const size_t begin = at;
    while (at < text.size() && !is_space(text[at])) ++at;
    if (at > begin) take(absl::AsciiStrToLower(absl::string_view(text.data() + begin, at - begin)));
  }
}

}  // namespace

absl::StatusOr<WordTokenizer> WordTokenizer::FromCounts(const absl::flat_hash_map<std::string, int64_t>& counts,
                                                        int64_t vocab) {
  if (vocab <= kSpecial) {
    return ConfigError(absl::StrCat("words: a vocabulary of ", vocab,
                                    " leaves no room for a word beside <pad>, <unk>, ",
                                    "<bos> and <eos>; expected at least ", kSpecial + 1));
  }
  WordTokenizer tokenizer;
  tokenizer.words_ = {"<pad>", "<unk>", "<bos>", "<eos>"};
  for (const std::string& special : tokenizer.words_) {
    tokenizer.ids_[special] = static_cast<int64_t>(tokenizer.ids_.size());
  }
  std::vector<std::pair<std::string, int64_t>> ranked;
  for (const auto& [word, count] : counts) {
    if (count > 0 && tokenizer.ids_.count(word) == 0) ranked.emplace_back(word, count);
  }
  const auto before = [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  };
  const size_t kept = std::min(ranked.size(), static_cast<size_t>(vocab - kSpecial));
  std::partial_sort(ranked.begin(), ranked.begin() + static_cast<int64_t>(kept), ranked.end(), before);
  for (size_t i = 0; i < kept; ++i) {
    tokenizer.ids_[ranked[i].first] = tokenizer.vocab_size();
    tokenizer.words_.push_back(ranked[i].first);
  }
  return tokenizer;
}

absl::StatusOr<at::Tensor> WordTokenizer::Encode(const std::string& text) const {
  std::vector<int64_t> ids;
  ForWords(text, [&](const std::string& word) {
    const auto found = ids_.find(word);
    ids.push_back(found == ids_.end() ? kUnknown : found->second);
  });
  return at::tensor(ids, at::TensorOptions(c10::kLong));
}

std::vector<int64_t> WordTokenizer::IdsOf(const std::vector<std::string>& tokens) const {
  std::vector<int64_t> ids;
  for (const std::string& token : tokens) {
    const auto found = ids_.find(token);
    ids.push_back(found == ids_.end() ? kUnknown : found->second);
  }
  return ids;
}

std::string WordTokenizer::Decode(const at::Tensor& ids) const {
  const at::Tensor flat = ids.to(c10::kCPU, c10::kLong).contiguous();
  std::string text;
  for (int64_t i = 0; i < flat.numel(); ++i) {
    const int64_t id = flat.data_ptr<int64_t>()[i];
    TORCH_CHECK(id >= 0 && id < vocab_size(), "[decode] id ", id, " is outside of the vocabulary of ", vocab_size());
    absl::StrAppend(&text, i == 0 ? "" : " ", words_[static_cast<size_t>(id)]);
  }
  return text;
}

}  // namespace lanthorn::data
