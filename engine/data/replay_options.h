// What a replay of earlier phases keeps (replay.h). Needs no LibTorch: the runner has it too.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/options/option_row.h"

namespace lanthorn::data {

struct ReplayOptions {
  int64_t memory = 0;
  std::string kind = "per_task";
  bool in_place = false;
  int64_t seed = 0;
};

template <typename Visit>
void Fields(Visit&& visit, ReplayOptions& options) {
  visit({"memory", "rows that are kept; 0: none", 0}, options.memory);
  visit({"kind",
         "equal shares of the phases that are over, or every row seen so far with the same chance",
         {},
         {"per_task", "reservoir"}},
        options.kind);
  visit({"in_place", "kept rows take the place of half of a batch's own, else as many come beside them"},
        options.in_place);
  visit({"seed", "of what is kept and drawn"}, options.seed);
}

}  // namespace lanthorn::data
