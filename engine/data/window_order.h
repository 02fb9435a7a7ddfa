// In which order the windows of a text are taken.
#pragma once

#include <string>
#include <utility>

namespace lanthorn::data {

enum class WindowOrder {
  kFixed,   // one after the other, each once; the last batch may be smaller
  kEpoch,   // each once in an order of the epoch's own; the last batch may be smaller, or is left out (drop_last)
  kRandom,  // drawn evenly with replacement
  // As many parallel streams as a batch has rows: batch c has the c-th window of each, so that the rows of one batch go
  // on in the next.
  kStreams,
};

// "fixed", "epoch", "random" or "streams"; false for another text.
inline bool FromText(const std::string& text, WindowOrder* order) {
  for (const auto& [name, value] : {std::pair{"fixed", WindowOrder::kFixed},
                                    {"epoch", WindowOrder::kEpoch},
                                    {"random", WindowOrder::kRandom},
                                    {"streams", WindowOrder::kStreams}}) {
    if (text != name) continue;
    *order = value;
    return true;
  }
  return false;
}

}  // namespace lanthorn::data
