#include "engine/train/loss/loss.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace lanthorn::train {

absl::StatusOr<TermValues> ReadTerms(const std::vector<LossTerm>& terms) {
  TermValues values;
  for (const LossTerm& term : terms) {
    if (!term.value.defined() || term.value.numel() != 1)
      return Error(ExitCode::kScript, absl::StrCat("train: the loss term '", term.name, "' must have one element"));
    const double value = term.value.item<double>();
    if (!term.monitor && value != 0 && !term.value.requires_grad()) {
      return NumericsError(absl::StrCat(
          "G44 idle_term: the loss term '", term.name, "' (", value,
          ") has no gradient: it changes the printed loss and never a weight; is it detached, or made from plain "
          "numbers? to log it only: ",
          term.name, " = { value = x, monitor = true }"));
    }
    values.emplace_back(term.name, value);
  }
  return values;
}

void AddTerms(const TermValues& values, double weight, TermValues* sums) {
  for (const auto& [name, value] : values) {
    const auto it = std::find_if(sums->begin(), sums->end(), [&](const auto& sum) { return sum.first == name; });
    if (it == sums->end()) {
      sums->emplace_back(name, weight * value);
    } else {
      it->second += weight * value;
    }
  }
}

}  // namespace lanthorn::train
