// How an option is declared: once, beside the struct that holds it, by a function `Fields(visit, options)` that calls
// visit(row, member) for each; the default is the member's. Whoever reads, checks, completes or documents options
// visits them.
#pragma once

#include <limits>
#include <string>
#include <vector>

namespace lanthorn {

struct OptionRow {
  const char* name;
  const char* meaning;
  double least = -std::numeric_limits<double>::infinity();  // of numbers
  std::vector<std::string> one_of = {};                     // of texts
};

// The word of an enumeration's value, by FromText(text, &value) of its namespace.
template <typename Enum>
std::string WordOf(const OptionRow& row, Enum member) {
  for (const std::string& word : row.one_of) {
    Enum value;
    if (FromText(word, &value) && value == member) return word;
  }
  return "";
}

}  // namespace lanthorn
