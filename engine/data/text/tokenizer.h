// Text to ids and back.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/base/status.h"

namespace lanthorn::data {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // int64 ids (L).
  virtual absl::StatusOr<at::Tensor> Encode(const std::string& text) const = 0;
  // The id of each token: a character, or a word in lower case; unknown() for one that is not in the vocabulary.
  virtual std::vector<int64_t> IdsOf(const std::vector<std::string>& tokens) const = 0;
  // Ids outside of the vocabulary are c10::Error.
  virtual std::string Decode(const at::Tensor& ids) const = 0;
  virtual int64_t vocab_size() const = 0;
  // The id that stands for whatever is not in the vocabulary, or -1 when Encode refuses it.
  virtual int64_t unknown() const { return -1; }
  // The id that ends a text, or -1: what is drawn from a model stops there.
  virtual int64_t end() const { return -1; }
};

// Characters (Unicode code points) and their ids in sorted order, from 0; or from 2 behind a beginning (0) and an end
// (1) of texts, which decode to nothing.
class CharTokenizer final : public Tokenizer {
 public:
  // The sorted set of all characters of `text`; broken UTF-8 is a data error with its byte offset.
  static absl::StatusOr<CharTokenizer> FromText(const std::string& text);
  // The sorted set of these characters, each a UTF-8 text.
  static CharTokenizer FromCharacters(const std::vector<std::string>& characters, bool bos_eos = false);
  // A character outside of the vocabulary is a data error that names it.
  absl::StatusOr<at::Tensor> Encode(const std::string& text) const override;
  std::vector<int64_t> IdsOf(const std::vector<std::string>& tokens) const override;
  std::string Decode(const at::Tensor& ids) const override;
  int64_t vocab_size() const override { return first_ + static_cast<int64_t>(characters_.size()); }
  int64_t end() const override { return first_ > 0 ? 1 : -1; }
  const std::vector<char32_t>& characters() const { return characters_; }

 private:
  std::vector<char32_t> characters_;
  int64_t first_ = 0;  // id of the first of them
};

// Words: what stands between white space, ASCII letters in lower case. Ids 0 to 3 are <pad>, <unk>, <bos>, <eos>, then
// the most frequent words, equally frequent ones in the order of their bytes.
class WordTokenizer final : public Tokenizer {
 public:
  static constexpr int64_t kPad = 0, kUnknown = 1, kBegin = 2, kEnd = 3, kSpecial = 4;

  // At most `vocab` ids in all, from words and how often each occurs; those that never do are left out. ConfigError
  // when `vocab` leaves no room for a word.
  static absl::StatusOr<WordTokenizer> FromCounts(const absl::flat_hash_map<std::string, int64_t>& counts,
                                                  int64_t vocab);
  absl::StatusOr<at::Tensor> Encode(const std::string& text) const override;
  // Words with a space between them.
  std::vector<int64_t> IdsOf(const std::vector<std::string>& tokens) const override;
  std::string Decode(const at::Tensor& ids) const override;
  int64_t vocab_size() const override { return static_cast<int64_t>(words_.size()); }
  int64_t unknown() const override { return kUnknown; }

 private:
  std::vector<std::string> words_;
  std::map<std::string, int64_t> ids_;
};

}  // namespace lanthorn::data
