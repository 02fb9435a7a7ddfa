#include "bindings/ops/enumerations.h"

#include "engine/nn/layer.h"

namespace lanthorn::lua {

const Enumeration* FindEnumeration(const std::string& function, const std::string& argument) {
  struct Row {
    const char *function, *argument;  // the function's name begins so
    Enumeration words;
  };
  static const std::vector<Row> rows = {
      {"aten::", "reduction", {{"none", 0}, {"mean", 1}, {"sum", 2}}},
      {"aten::", "interpolation_mode", {{"bilinear", 0}, {"nearest", 1}, {"bicubic", 2}}},
      {"aten::", "padding_mode", {{"zeros", 0}, {"border", 1}, {"reflection", 2}}},
      {"aten::embedding_bag", "mode", {{"sum", 0}, {"mean", 1}, {"max", 2}}},
      {"aten::_embedding_bag", "mode", {{"sum", 0}, {"mean", 1}, {"max", 2}}},
      {"aten::cdist",
       "compute_mode",
       {{"use_mm_for_euclid_dist_if_necessary", 0},
        {"use_mm_for_euclid_dist", 1},
        {"donot_use_mm_for_euclid_dist", 2}}},
      {"Conv", "padding", {{"valid", 0}, {"same", nn::kSamePadding}}},
  };
  for (const Row& row : rows) {
    if (argument == row.argument && function.rfind(row.function, 0) == 0) return &row.words;
  }
  return nullptr;
}

std::string WordsOf(const Enumeration& enumeration) {
  std::string text;
  for (size_t i = 0; i < enumeration.size(); ++i) {
    if (i > 0) text += i + 1 == enumeration.size() ? " or " : ", ";
    text += "'" + std::string(enumeration[i].first) + "'";
  }
  return text;
}

bool ReadWord(const Enumeration& enumeration, const std::string& word, int64_t* number) {
  for (const auto& [known, value] : enumeration) {
    if (word == known) return *number = value, true;
  }
  return false;
}

}  // namespace lanthorn::lua
