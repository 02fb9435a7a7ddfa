// How several texts are split into windows, phases and batches. Needs no LibTorch: the runner has it too.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/options/option_row.h"
#include "engine/data/text/token_options.h"
#include "engine/data/window_order.h"

namespace lanthorn::data {

struct DomainOptions {
  int64_t words = 0;  // vocabulary of words; 0: characters
  int64_t batch = 64, seq = 64, stride = 32;
  // Shares by position; the rest is the test split. Windows never cross a border.
  double train = 0.9, val = 0.05;
  WindowOrder order = WindowOrder::kRandom;
  int64_t batches = 0;               // of each phase, see WindowOptions
  std::vector<int64_t> phases = {};  // domains in the order they are trained on; empty: each once
  int64_t passes = 1;                // how often a phase goes through its text
  bool drop_last = false;            // see WindowOptions
  bool interleaved = false;          // phases take turns batch by batch
  int64_t seed = 0;
  TokenFileOptions tokens = {};  // how texts are read and kept; `kind` follows from `words`
};

// The section `domains` of a config, as far as the engine reads it.
template <typename Visit>
void Fields(Visit&& visit, DomainOptions& domains) {
  visit({"words", "a vocabulary of so many words; 0: characters"}, domains.words);
  visit({"batch", "windows of a batch"}, domains.batch);
  visit({"seq", "tokens of a window"}, domains.seq);
  visit({"stride", "tokens from one window to the next"}, domains.stride);
  visit({"train", "share of each text that is trained on, from its beginning"}, domains.train);
  visit({"val", "share behind it that is val, 0 for none; the rest is the test split"}, domains.val);
  visit({"order",
         "windows drawn at random, each once an epoch, or as streams that go on from batch to batch",
         {},
         {"random", "epoch", "streams", "fixed"}},
        domains.order);
  visit({"batches", "batches of each phase an epoch; 0: as many as hold each window once, the most for order=epoch"},
        domains.batches);
  visit({"phases", "texts by number in the order they are trained on; each once when unset"}, domains.phases);
  visit({"passes", "how often each phase goes through its text", 1}, domains.passes);
  visit({"drop_last", "with order=epoch: leave out windows that do not fill a last batch"}, domains.drop_last);
  visit({"interleaved", "texts take turns batch by batch"}, domains.interleaved);
}

}  // namespace lanthorn::data
