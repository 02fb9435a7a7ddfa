#include "engine/run/metrics/metrics_reader.h"

#include <cerrno>
#include <fstream>
#include <sstream>

#include "engine/base/files/files.h"

namespace lanthorn {
namespace {

using nlohmann::json;

json Parse(const std::string& text) { return json::parse(text, /*cb=*/nullptr, /*allow_exceptions=*/false); }

bool HasText(const json& line, const char* key, const char* text) {
  const auto it = line.find(key);
  return it != line.end() && it->is_string() && it->get_ref<const std::string&>() == text;
}

std::optional<double> StepOf(const json& line) {
  const auto step = line.find("step");
  return step != line.end() && step->is_number() ? std::optional(step->get<double>()) : std::nullopt;
}

// Numbers of training, of which the resumed attempt writes its own; the other events tell what has happened.
bool IsPointOfCurve(const json& line) {
  return !HasText(line, "kind", "event") || HasText(line, "event", "epoch") || HasText(line, "event", "tscore_probe");
}

absl::StatusOr<Metrics> ReadAll(const std::string& path, MetricsLines lines) {
  Metrics metrics;
  while (auto line = lines.Next()) {
    json object = Parse(line->text);
    if (object.is_object()) {
      metrics.lines.push_back(std::move(object));
    } else if (line->torn) {
      metrics.torn = true;
    } else {
      return DataError(absl::StrCat("'", path, "': line ", line->number, " is not a JSON object"));
    }
  }
  return metrics;
}

}  // namespace

MetricsLines::MetricsLines(std::unique_ptr<std::istream> text) : text_(std::move(text)) { Survey(); }

absl::StatusOr<MetricsLines> MetricsLines::Open(const std::string& path) {
  auto file = std::make_unique<std::ifstream>(path, std::ios::binary);
  if (!file->is_open()) return DataError(ErrnoMessage(path, "cannot be read", errno));
  return MetricsLines(std::move(file));
}

void MetricsLines::Survey() {
  for (std::string line; std::getline(*text_, line);) {
    ++count_;
    ends_ = !text_->eof();
    if (line.find("\"resume\"") == std::string::npos && line.find("\"rollback\"") == std::string::npos) continue;
    const json event = Parse(line);
    if (!event.is_object() || !(HasText(event, "event", "resume") || HasText(event, "event", "rollback"))) continue;
    if (const auto step = StepOf(event)) cuts_.push_back({count_, *step});
  }
  // The lowest step of any cut from here on: lines before it are void above that.
  for (size_t i = cuts_.size(); i-- > 1;) cuts_[i - 1].step = std::min(cuts_[i - 1].step, cuts_[i].step);
  text_->clear();
  text_->seekg(0);
}

bool MetricsLines::IsVoid(const std::string& text) const {
  if (next_cut_ == cuts_.size()) return false;
  const json line = Parse(text);
  if (!line.is_object() || !IsPointOfCurve(line)) return false;
  const auto step = StepOf(line);
  return step && *step > cuts_[next_cut_].step;
}

std::optional<MetricsLines::Line> MetricsLines::Next() {
  Line line;
  while (number_ < count_ && std::getline(*text_, line.text)) {
    line.number = ++number_;
    line.torn = number_ == count_ && !ends_;
    while (next_cut_ < cuts_.size() && cuts_[next_cut_].number < number_) ++next_cut_;
    if (!IsVoid(line.text)) return line;
  }
  return std::nullopt;
}

absl::StatusOr<Metrics> ReadMetrics(const std::string& path) {
  LANTHORN_ASSIGN_OR_RETURN(MetricsLines lines, MetricsLines::Open(path));
  return ReadAll(path, std::move(lines));
}

absl::StatusOr<Metrics> ParseMetrics(const std::string& path, const std::string& text) {
  return ReadAll(path, MetricsLines(std::make_unique<std::istringstream>(text)));
}

}  // namespace lanthorn
