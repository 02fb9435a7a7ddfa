// What gets the lines of metrics.jsonl besides the file, while the run goes on.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "engine/base/status.h"

namespace lanthorn {

class MetricsSink {
 public:
  virtual ~MetricsSink() = default;

  // A line that was just appended, with its time `t`. Numbers that are not finite stand in it as they are. Calls come
  // one at a time, in the order of the lines, from any thread. An error is returned by the call that logged the line.
  virtual absl::Status Write(const nlohmann::json& line) = 0;
};

}  // namespace lanthorn
