// In which order the windows of a text are taken.
#pragma once

#include <string>

namespace lanthorn::data {

enum class WindowOrder {
  kFixed,   // one after the other, each once; the last batch may be smaller
  kEpoch,   // each once in an order of the epoch's own; the last batch may be smaller, or is left out (drop_last)
  kRandom,  // drawn evenly with replacement
};

// "fixed", "epoch" or "random"; false for another text.
inline bool FromText(const std::string& text, WindowOrder* order) {
  if (text != "fixed" && text != "epoch" && text != "random") return false;
  *order = text == "fixed" ? WindowOrder::kFixed : text == "epoch" ? WindowOrder::kEpoch : WindowOrder::kRandom;
  return true;
}

}  // namespace lanthorn::data
