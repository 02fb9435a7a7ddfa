// Options of elastic weight consolidation (ewc.h). Needs no LibTorch: the runner has it too.
#pragma once

#include <string>

#include "engine/base/options/option_row.h"

namespace lanthorn::train {

struct EwcOptions {
  std::string form = "raw";
  double strength = 1;
  double target = 1;
  bool normalize = true, relative = false;
  double threshold = 1e-4;
  double release = 0.1, cap = 0.05;
  std::string compat = "none";
};

template <typename Visit>
void Fields(Visit&& visit, EwcOptions& ewc) {
  visit({"form",
         "how the importance F of a weight is scaled: raw; scaled by its largest, scaled per layer, to a total of "
         "target; dr, which lets go of what is not important; l2, all alike",
         {},
         {"raw", "scaled", "layer", "target", "dr", "l2"}},
        ewc.form);
  visit({"strength", "lambda: the penalty is strength * sum F (p - p*)^2", 0}, ewc.strength);
  visit({"target", "form=target: what the norms of the F of all tensors add up to", 0}, ewc.target);
  visit({"normalize", "form=dr: F over its largest"}, ewc.normalize);
  visit({"threshold", "form=dr: weights of a smaller F are not important", 0}, ewc.threshold);
  visit({"relative", "form=dr: the threshold is a share of the largest F"}, ewc.relative);
  visit({"release", "form=dr: reward for moving weights that are not important", 0}, ewc.release);
  visit({"cap", "form=dr: how far that reward goes", 0}, ewc.cap);
  visit({"compat",
         "published behaviour: only the newest task counts; or dr without a cap, its sum kept at 0 or above",
         {},
         {"none", "latest_anchor", "dr_clamp"}},
        ewc.compat);
}

}  // namespace lanthorn::train
