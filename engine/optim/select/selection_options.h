// Options of selective training, the section `select` of a config (see base/options/option_row.h). Nothing here needs
// LibTorch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/options/option_row.h"

namespace lanthorn::optim {

struct SelectionOptions {
  std::string rule = "path";
  std::vector<double> scales = {1, .15, .05};
  int64_t k = 5;
  double percent = 10;
  int64_t cooldown = 10;
  double explore = 0.1;
  double tau = 3, tau_end = 0.5;
  int64_t tau_steps = 50000;
  std::string norm = "raw", apply = "delta", moments = "global";
  double shared = 1;
  // Not of the section: rows of the histogram of leaves, and the seed of random draws.
  int64_t domains = 1;
  uint64_t seed = 0;
};

template <typename Visit>
void Fields(Visit&& visit, SelectionOptions& select) {
  visit({"rule", "which nodes an update moves; optim.selection_rules() has their names"}, select.rule);
  visit({"scales", "shares of the update on a path, from the leaf up; the last repeats"}, select.scales);
  visit({"k", "topk: so many nodes", 1}, select.k);
  visit({"percent", "weight_topk: so many percent of the entries, those of the largest gradients"}, select.percent);
  visit({"cooldown", "cooldown: updates for which a node is then left alone", 0}, select.cooldown);
  visit({"explore", "cooldown: the probability of a random child"}, select.explore);
  visit({"tau", "ucb: temperature at the start"}, select.tau);
  visit({"tau_end", "ucb: temperature at the end"}, select.tau_end);
  visit({"tau_steps", "ucb: updates from one to the other, linearly", 1}, select.tau_steps);
  visit({"norm",
         "of a node: its gradient, times the nodes of its level, or relative to its weights",
         0,
         {"raw", "level", "relative"}},
        select.norm);
  visit({"apply", "mask the update, or the gradient before the optimiser", 0, {"delta", "gradient"}}, select.apply);
  visit({"moments", "lazy: those of nodes that are not selected wait", 0, {"global", "lazy"}}, select.moments);
  visit({"shared", "share of the update for parameters outside of the tree"}, select.shared);
}

}  // namespace lanthorn::optim
