// Several texts under one vocabulary: what continual and specialisation experiments train on, one domain after the
// other or in turn.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/data/domain_options.h"
#include "engine/data/phases.h"
#include "engine/data/text/token_file.h"
#include "engine/data/text/tokenizer.h"
#include "engine/data/windows.h"

namespace lanthorn::data {

struct DomainSource {
  std::string name, path, sha256;  // an empty checksum is not compared
  int64_t bytes = 0;               // use the first so many bytes, up to the next white space; 0: all
  // The part of it that is used: shares up to 1, or numbers of tokens.
  double from = 0, to = 1;
};

struct Domain {
  std::string name, path, sha256;
  int64_t bytes = 0, from = 0, to = 0;  // of the file; the tokens of it that are used
  int64_t train_tokens = 0, val_tokens = 0, test_tokens = 0;
  double train_unknown = 0, val_unknown = 0;  // shares of unknown tokens
  std::shared_ptr<const TokenFile> tokens;
  TokenIds train_ids, val_ids;
  std::shared_ptr<WindowBatches> val, test;  // every window once, in order, or as streams where train is
  std::shared_ptr<Batches> train;            // what its first phase goes through first; without a phase, what one would
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
