// Byte-level byte-pair encoding as GPT-2 has it (Sennrich et al. 2016; Radford et al. 2019): every byte is a symbol, so
// that no text is without tokens, and merges join the pair of least rank until none is left.
//
// Files, in GPT-2's format:
//   vocab.json   {"token": id, ...}; bytes are written as the 256 characters that GPT-2 gives them, a space as U+0120
//   merges.txt   a line "left right" for each merge, the least rank first; a first line that begins with "#version"
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/data/text/tokenizer.h"

namespace lanthorn::data {

// The character that stands for a byte, as UTF-8.
const std::string& ByteSymbol(unsigned char byte);
// The text of a token that is written in such characters; a data error for other characters.
absl::StatusOr<std::string> BytesOfSymbols(const std::string& token);

class BpeTokenizer final : public Tokenizer {
 public:
  // Reads vocab.json and merges.txt of a folder. DataError, with file and line, where they are missing, no such files,
  // or not of one vocabulary; of GPT-2's, where its published examples do not come out.
  static absl::StatusOr<BpeTokenizer> Open(const std::string& folder);
  // From tokens by id and merges by rank, both in the characters of bytes. `who` stands in front of errors.
  static absl::StatusOr<BpeTokenizer> Make(const std::vector<std::string>& tokens,
                                           const std::vector<std::pair<std::string, std::string>>& merges,
                                           const std::string& who);

  absl::StatusOr<at::Tensor> Encode(const std::string& text) const override;
  absl::StatusOr<std::vector<int64_t>> Ids(std::string_view text) const;
  // The id of a token as vocab.json writes it, such as [MASK], or -1.
  int64_t IdOfToken(const std::string& token) const;
  // Each token's id where it is one token, else -1.
  std::vector<int64_t> IdsOf(const std::vector<std::string>& tokens) const override;
  // The bytes of the tokens, which need not be whole characters.
  std::string Decode(const at::Tensor& ids) const override;
  int64_t vocab_size() const override { return static_cast<int64_t>(bytes_.size()); }
  // <|endoftext|>, or -1. Never made from text.
  int64_t end() const override { return end_; }

 private:
  struct Merge {
    int32_t rank, id;
  };
  absl::Status EncodePiece(std::string_view piece, std::vector<int32_t>* ids) const;
  friend class MergesOfPieces;

  std::vector<std::string> bytes_;  // of each token
  std::vector<int32_t> byte_ids_;   // of each byte; -1 for one without a token
  absl::flat_hash_map<std::string, int32_t> token_ids_;
  absl::flat_hash_map<uint64_t, Merge> merges_;
  int64_t end_ = -1;
};

// How often each piece of a text occurs (word_split.h), as lines "symbols<TAB>count" for spm_train's input_format=tsv.
absl::Status WritePieceCounts(const std::string& text_path, const std::string& tsv_path);

// Writes vocab.json and merges.txt from the pieces that spm_train found (its .vocab file, model_type=bpe): the 256
// bytes, then the merges in their order, then <|endoftext|>; or, with specials, those first and no <|endoftext|>. A
// special is <name> or [NAME], and never made from text.
absl::Status WriteBpeFiles(const std::string& pieces_path, const std::string& folder,
                           const std::vector<std::string>& specials = {});

}  // namespace lanthorn::data
