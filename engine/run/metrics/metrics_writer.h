// metrics.jsonl: one JSON object per line, appended by one write(2) each, so that a killed process tears at most the
// last line and several writers never mix within a line.
#pragma once

#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/files/files.h"
#include "engine/base/status.h"
#include "engine/run/metrics/metrics_sink.h"

namespace lanthorn {

// Safe to call from several threads.
class MetricsWriter {
 public:
  // Opens or creates the file. A torn last line of an earlier attempt is cut off, so that every line stays an object.
  static absl::StatusOr<std::unique_ptr<MetricsWriter>> Open(const std::string& path);

  // Appends `object` with `t`, the time in unix seconds. A number that is not finite becomes null and is named in
  // `nonfinite`: {name: "nan", "inf" or "-inf"}, nested names joined by dots. MachineError when the disk refuses.
  absl::Status Append(nlohmann::json object);

  // Lines that are appended from now on go to the sink as well. When this writer has appended a "resume" event, the
  // sink gets that one first, so that it knows where the attempt began. Returns the sink's error.
  absl::Status AddSink(std::shared_ptr<MetricsSink> sink);

 private:
  MetricsWriter(std::string path, FileDescriptor fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  absl::Status WriteLine(const std::string& line);

  std::string path_;
  FileDescriptor fd_;
  std::mutex mutex_;
  std::optional<nlohmann::json> resume_;  // the line
  std::vector<std::shared_ptr<MetricsSink>> sinks_;
};

}  // namespace lanthorn
