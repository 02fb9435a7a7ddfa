// How a character text is split into rows and batches. Needs no LibTorch: the runner has it too.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/options/option_row.h"
#include "engine/data/text/token_options.h"

namespace lanthorn::data {

enum class Layout { kRows, kStreams, kOverlap };

// "rows", "streams" or "overlap"; false for another text.
inline bool FromText(const std::string& text, Layout* layout) {
  if (text != "rows" && text != "streams" && text != "overlap") return false;
  *layout = text == "rows" ? Layout::kRows : text == "streams" ? Layout::kStreams : Layout::kOverlap;
  return true;
}

struct TextOptions {
  int64_t batch = 64, seq = 100, stride = 100;
  double split = 0.9;  // share of the text for training; the rest is val
  Layout layout = Layout::kRows;
  int64_t chars = 0;       // use the first so many characters; 0 for all
  bool drop_last = false;  // leave out the rows that do not fill a last batch, in train and val
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
         "rows in order, streams that go on from batch to batch, or a row at each position",
         {},
         {"rows", "streams", "overlap"}},
        text.layout);
  visit({"chars", "only so many characters from the beginning; 0: all"}, text.chars);
  visit({"shuffle", "a new order of the rows each epoch"}, text.shuffle);
  visit({"drop_last", "leave out rows that do not fill a last batch (train and val); else it is smaller"},
        text.drop_last);
}

}  // namespace lanthorn::data
