// Character text for language models: vocabulary, split into train and val, four layouts of rows.
//
// With L characters, S per row and B rows per batch:
//   rows     starts 0, stride, 2 stride ... below L - S - 1; batches floor(ceil((L-S-1)/stride) / B)
//   streams  B parallel streams of M = floor(L/(B S)) windows; batch c is columns cS..cS+S-1; batches M - 1
//   overlap  starts 0..n-S-1 with n = floor(L/S) S, one apart; batches floor((n-S)/B)
//   random   starts drawn evenly below L - S - 1 for each epoch; batches as asked for, or floor((L-S-1)/(B S)); its val
//            has rows side by side
// Targets are the inputs one character later. Rows that do not fill a last batch make a smaller one, unless drop_last
// (the formulas above) leaves them out; the order is fixed unless shuffled.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/data/batches.h"
#include "engine/data/text/token_file.h"
#include "engine/data/text/tokenizer.h"
#include "engine/data/text_options.h"

namespace lanthorn::data {

// Number of batches for a text of `length` characters; 0 when it is too short.
int64_t CountBatches(int64_t length, const TextOptions& options);

class TextBatches final : public Batches {
 public:
  TextBatches(TokenIds ids, TextOptions options);
  int64_t count() const override { return count_; }
  int64_t rows() const override;
  int64_t targets() const override { return rows() * options_.seq; }
  int64_t samples() const override;
  int64_t left_out() const override;
  Batch Get(int64_t index) const override;
  int64_t length() const { return ids_.size(); }
  // Epochs are alike but for those that are shuffled or random.
  void SetEpoch(int64_t epoch) override;

 private:
  TokenIds ids_;
  TextOptions options_;
  int64_t count_, epoch_ = 0;
  std::vector<uint32_t> order_;  // row numbers, when shuffled
};

// A text ready for training.
struct Text {
  std::string name, path, sha256;
  int64_t bytes = 0;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const TokenFile> tokens;     // nullptr for tokens of a BPE
  int64_t characters = 0, val_characters = 0;  // of all and of val; 0 where every token is one
  TokenIds ids;
  TextOptions options;
  std::shared_ptr<TextBatches> train, val;  // val has count 0 when the split leaves too little

  // Opens a file and prepares it. Missing or changed files and splits without a batch are data errors that give the
  // numbers.
  static absl::StatusOr<std::shared_ptr<Text>> Open(const std::string& name, const std::string& path,
                                                    const TextOptions& options);
};

}  // namespace lanthorn::data
