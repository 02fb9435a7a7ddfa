// Settings of a YAML file: what other programs' configurations are read from.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace lanthorn::data {

struct YamlSetting {
  std::string path;      // keys from the top, such as optimizer.scheduler.warmup_steps
  int64_t line = 0;      // from 1
  nlohmann::json value;  // null, a boolean, a number, a string, or an array of what stands in a list
};

// All settings of a file, in its order. The file is a mapping, whose values are scalars, lists or mappings again; true,
// false, numbers (2e-4 too, which YAML 1.1 reads as a string) and null are what they look like unless they are quoted.
// The error names the line of what is not YAML and of a key that is given twice (exit code 4).
absl::StatusOr<std::vector<YamlSetting>> ReadYaml(const std::string& path);

}  // namespace lanthorn::data
