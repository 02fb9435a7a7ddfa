// How much of the validation text stands in the training text too (guard G24).
#pragma once

#include "engine/data/text/token_ids.h"

namespace lanthorn::data {

struct Leak {
  int64_t block = 0;   // tokens in a block
  int64_t blocks = 0;  // blocks of val that were looked for
  int64_t shared = 0;  // of them, those that occur somewhere in train
  double searched =
      1;  // share of the blocks of val times share of train that were looked at: 1 but for very long texts
};

inline constexpr int64_t kLeakBlock = 64;
// Tokens of train and blocks of val that are looked at, at most: well under a second. Of longer texts evenly spread
// pieces.
inline constexpr int64_t kLeakTokens = int64_t{50} << 20, kLeakBlocks = int64_t{1} << 18;

// Cuts `val` into blocks that follow each other and looks for each at every position of `train`. Exact: a block counts
// when all its tokens agree. A val shorter than a block has no blocks. Both must be numbered alike: parts of one text,
// whose stored numbers are compared, not the ids that a table makes of them.
Leak SharedBlocks(const TokenIds& train, const TokenIds& val, int64_t block = kLeakBlock,
                  int64_t most_tokens = kLeakTokens, int64_t most_blocks = kLeakBlocks);

}  // namespace lanthorn::data
