// metrics.jsonl: one JSON object per line, appended by one write(2) each, so that a killed process tears at most the
// last line and several writers never mix within a line.
#pragma once

#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "engine/base/files.h"
#include "engine/base/status.h"

namespace lanthorn {

// Safe to call from several threads.
class MetricsWriter {
 public:
  // Opens or creates the file. A torn last line of an earlier attempt is cut off, so that every line stays an object.
  static absl::StatusOr<std::unique_ptr<MetricsWriter>> Open(const std::string& path);

  // Appends `object` with `t`, the time in unix seconds. A number that is not finite becomes null and is named in
  // `nonfinite`: {name: "nan", "inf" or "-inf"}, nested names joined by dots. MachineError when the disk refuses.
  absl::Status Append(nlohmann::json object);

 private:
  MetricsWriter(std::string path, FileDescriptor fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;
  FileDescriptor fd_;
  std::mutex mutex_;
};

}  // namespace lanthorn
