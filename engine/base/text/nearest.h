// The nearest of some names to a mistyped one, for "did you mean" in error messages.
#pragma once

#include <string>
#include <vector>

namespace lanthorn {

// Optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours, each costing 1.
int EditDistance(const std::string& a, const std::string& b);

// At most `limit` of `names`, nearest first, that a person could have meant by `wanted` (distance up to a third of its
// length, at least 1); empty if none is near.
std::vector<std::string> Nearest(const std::string& wanted, const std::vector<std::string>& names, size_t limit = 3);

// "; did you mean 'randn' or 'rand'?", or an empty string.
std::string DidYouMean(const std::string& wanted, const std::vector<std::string>& names);

}  // namespace lanthorn
