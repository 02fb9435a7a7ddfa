// How a character text is split into rows and batches. Needs no LibTorch: the runner has it too.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "engine/base/options/option_row.h"
#include "engine/data/text/token_options.h"

namespace lanthorn::data {

enum class Layout { kRows, kStreams, kOverlap, kRandom };

// "rows", "streams", "overlap" or "random"; false for another text.
inline bool FromText(const std::string& text, Layout* layout) {
  for (const auto& [name, value] : {std::pair{"rows", Layout::kRows},
                                    {"streams", Layout::kStreams},
                                    {"overlap", Layout::kOverlap},
                                    {"random", Layout::kRandom}}) {
    if (text != name) continue;
    *layout = value;
    return true;
  }
  return false;
}

struct TextOptions {
  int64_t batch = 64, seq = 100, stride = 100;
  double split = 0.9;  // share of the text for training; the rest is val
  Layout layout = Layout::kRows;
  int64_t batches = 0;     // of an epoch, for random; 0: as many as the train text has rows side by side
  int64_t chars = 0;       // use the first so many characters; 0 for all
  bool drop_last = false;  // leave out the rows that do not fill a last batch, in train and val
  std::string bpe = {};    // folder of vocab.json and merges.txt: their tokens in place of characters
  bool bos_eos = false;    // ids 0 and 1 are a beginning and an end, which the text itself does not have
  bool shuffle = false;    // a new order of rows each epoch, from `seed` (rows and overlap)
  int64_t seed = 0;
  bool val_required = true;      // an empty val split is an error
  TokenFileOptions tokens = {};  // how the text is read and kept; `kind` is characters
};

// The section `data` of a config, as far as the engine reads it.
template <typename Visit>
void Fields(Visit&& visit, TextOptions& text) {
  visit({"batch", "rows of a batch"}, text.batch);
  visit({"seq", "characters of a row"}, text.seq);
  visit({"stride", "characters from the beginning of a row to that of the next"}, text.stride);
  visit({"split", "share of the text that is trained on; the rest is val"}, text.split);
  visit({"layout",
         "rows in order, streams that go on from batch to batch, a row at each position, or rows that begin at random",
         {},
         {"rows", "streams", "overlap", "random"}},
        text.layout);
  visit({"batches", "of an epoch, for layout=random; 0: as many as there are rows side by side", 0}, text.batches);
  visit({"chars", "only so many characters from the beginning; 0: all"}, text.chars);
  visit({"bpe", "folder of a vocab.json and merges.txt: their tokens in place of characters"}, text.bpe);
  visit({"bos_eos", "ids 0 and 1 are beginning and end of a text, its characters follow; what is drawn ends at 1"},
        text.bos_eos);
  visit({"shuffle", "a new order of the rows each epoch"}, text.shuffle);
  visit({"drop_last", "leave out rows that do not fill a last batch (train and val); else it is smaller"},
        text.drop_last);
}

}  // namespace lanthorn::data
