// Several texts under one vocabulary: what continual and specialisation experiments train on, one domain after the
// other or in turn.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/data/domain_options.h"
#include "engine/data/text/token_file.h"
#include "engine/data/text/tokenizer.h"
#include "engine/data/windows.h"

namespace lanthorn::data {

struct DomainSource {
  std::string name, path, sha256;  // an empty checksum is not compared
  int64_t bytes = 0;               // use the first so many bytes, up to the next white space; 0: all
};

struct Domain {
  std::string name, path, sha256;
  int64_t bytes = 0, train_tokens = 0, val_tokens = 0, test_tokens = 0;
  double train_unknown = 0, val_unknown = 0;  // shares of unknown tokens
  std::shared_ptr<const TokenFile> tokens;
  TokenIds train_ids, val_ids;
  std::shared_ptr<WindowBatches> val, test;  // every window once, in order
};

// Phases one after the other or taking turns.
class PhaseBatches final : public Batches {
 public:
  PhaseBatches(std::vector<std::shared_ptr<WindowBatches>> phases, bool interleaved);
  int64_t count() const override { return count_; }
  int64_t rows() const override { return phases_.front()->rows(); }
  int64_t targets() const override { return phases_.front()->targets(); }
  int64_t samples() const override;
  int64_t left_out() const override;
  Batch Get(int64_t index) const override;
  void SetEpoch(int64_t epoch) override;
  // The number of batches up to the end of each phase; those of interleaved phases end together.
  std::vector<int64_t> Ends() const;

 private:
  std::vector<std::shared_ptr<WindowBatches>> phases_;
  bool interleaved_;
  int64_t count_ = 0;
};

// All of several, taking turns until each is at its end: the first so many batches are of all of them.
class JoinedBatches final : public Batches {
 public:
  explicit JoinedBatches(std::vector<std::shared_ptr<WindowBatches>> parts);
  int64_t count() const override { return static_cast<int64_t>(order_.size()); }
  int64_t rows() const override { return parts_.front()->rows(); }
  int64_t targets() const override { return parts_.front()->targets(); }
  int64_t samples() const override;
  Batch Get(int64_t index) const override;

 private:
  std::vector<std::shared_ptr<WindowBatches>> parts_;
  std::vector<std::pair<size_t, int64_t>> order_;  // part and its batch
};

struct Domains {
  std::shared_ptr<Tokenizer> tokenizer;  // words: those of the train splits alone; characters: all that occur
  std::vector<Domain> domains;
  std::vector<int64_t> phases;
  std::shared_ptr<PhaseBatches> train;
  std::shared_ptr<JoinedBatches> val;

  // DataError for a missing, changed or empty file and for a split that is too short, with the numbers.
  static absl::StatusOr<std::shared_ptr<Domains>> Open(const std::vector<DomainSource>& sources,
                                                       const DomainOptions& options);
};

}  // namespace lanthorn::data
