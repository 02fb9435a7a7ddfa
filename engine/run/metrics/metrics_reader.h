// Reads metrics.jsonl back: what reports, sweeps and comparisons start from.
#pragma once

#include <cstdint>
#include <istream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/status.h"

namespace lanthorn {

// The lines of a run's metrics.jsonl that count, one after the other, so that a file of any length takes little memory.
// After a "resume" or "rollback" event at step k, earlier lines with a step above k are void and left out; events stay,
// but for those that are points of a curve, "epoch" and "tscore_probe". What a running process appends after the
// opening is not of this reading.
class MetricsLines {
 public:
  // DataError when the file is missing.
  static absl::StatusOr<MetricsLines> Open(const std::string& path);
  explicit MetricsLines(std::unique_ptr<std::istream> text);

  struct Line {
    std::string text;
    int64_t number = 0;  // from 1
    bool torn = false;   // the last line, without its end: it may be cut short
  };
  // The next line; nothing at the end.
  std::optional<Line> Next();

 private:
  // A resume or rollback: lines before its line are void above the step.
  struct Cut {
    int64_t number;
    double step;
  };
  void Survey();
  bool IsVoid(const std::string& text) const;

  std::unique_ptr<std::istream> text_;
  int64_t count_ = 0, number_ = 0;
  bool ends_ = true;  // the last line has its end
  std::vector<Cut> cuts_;
  size_t next_cut_ = 0;
};

struct Metrics {
  std::vector<nlohmann::json> lines;  // in file order, without void ones
  bool torn = false;                  // the last line was cut short and left out
};

// All lines. DataError when the file is missing or a line before the last is not a JSON object.
absl::StatusOr<Metrics> ReadMetrics(const std::string& path);
// The same of a file's text; `path` is for messages.
absl::StatusOr<Metrics> ParseMetrics(const std::string& path, const std::string& text);

}  // namespace lanthorn
