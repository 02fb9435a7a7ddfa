#include "engine/base/text/nearest.h"

#include <algorithm>
#include <utility>

namespace lanthorn {

int EditDistance(const std::string& a, const std::string& b) {
  std::vector<int> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) above[j] = static_cast<int>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = static_cast<int>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const int substitution = above[j - 1] + (a[i - 1] != b[j - 1]);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, substitution});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(above);
    above.swap(row);
  }
  return above[b.size()];
}

std::vector<std::string> Nearest(const std::string& wanted, const std::vector<std::string>& names, size_t limit) {
  const int reach = std::max<int>(1, static_cast<int>(wanted.size()) / 3);
  std::vector<std::pair<int, std::string>> found;
  for (const std::string& name : names) {
    const int gap = static_cast<int>(name.size()) - static_cast<int>(wanted.size());
    if (std::abs(gap) > reach) continue;
    if (const int distance = EditDistance(wanted, name); distance <= reach) found.emplace_back(distance, name);
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  std::vector<std::string> nearest;
  for (size_t i = 0; i < found.size() && i < limit; ++i) nearest.push_back(found[i].second);
  return nearest;
}

std::string DidYouMean(const std::string& wanted, const std::vector<std::string>& names) {
  const std::vector<std::string> nearest = Nearest(wanted, names);
  if (nearest.empty()) return "";
  std::string text = "; did you mean '" + nearest[0] + "'";
  for (size_t i = 1; i < nearest.size(); ++i) text += " or '" + nearest[i] + "'";
  return text + "?";
}

}  // namespace lanthorn
