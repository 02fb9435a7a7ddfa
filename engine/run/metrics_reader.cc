#include "engine/run/metrics_reader.h"

#include "engine/base/files.h"

namespace lanthorn {
namespace {

using nlohmann::json;

bool HasText(const json& line, const char* key, const char* text) {
  const auto it = line.find(key);
  return it != line.end() && it->is_string() && it->get_ref<const std::string&>() == text;
}

// Numbers of training, of which the resumed attempt writes its own; the other events tell what has happened.
bool IsPointOfCurve(const json& line) {
  return !HasText(line, "kind", "event") || HasText(line, "event", "epoch") || HasText(line, "event", "tscore_probe");
}

void DropVoidLines(std::vector<json>& lines, const json& resume) {
  const auto step = resume.find("step");
  if (step == resume.end() || !step->is_number()) return;
  const double last = step->get<double>();
  std::erase_if(lines, [last](const json& line) {
    const auto it = line.find("step");
    return IsPointOfCurve(line) && it != line.end() && it->is_number() && it->get<double>() > last;
  });
}

}  // namespace

absl::StatusOr<Metrics> ReadMetrics(const std::string& path) {
  LANTHORN_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return ParseMetrics(path, text);
}

absl::StatusOr<Metrics> ParseMetrics(const std::string& path, const std::string& text) {
  Metrics metrics;
  size_t begin = 0;
  for (int number = 1; begin < text.size(); ++number) {
    const size_t newline = text.find('\n', begin);
    const size_t end = newline == std::string::npos ? text.size() : newline;
    json line =
        json::parse(text.begin() + static_cast<std::ptrdiff_t>(begin), text.begin() + static_cast<std::ptrdiff_t>(end),
                    /*cb=*/nullptr, /*allow_exceptions=*/false);
    begin = end + 1;
    if (end == text.size() && !line.is_object()) {
      metrics.torn = true;
    } else if (!line.is_object()) {
      return DataError(absl::StrCat("'", path, "': line ", number, " is not a JSON object"));
    } else {
      if (HasText(line, "event", "resume")) DropVoidLines(metrics.lines, line);
      metrics.lines.push_back(std::move(line));
    }
  }
  return metrics;
}

}  // namespace lanthorn
