#include "engine/run/exit_file.h"

#include <unistd.h>

#include "engine/base/files/files.h"
#include "engine/run/json_text.h"

namespace lanthorn {

using nlohmann::json;

absl::Status WriteExit(const std::string& run_folder, const json& fields) {
  json exit = {{"format", 1},
               {"attempt", nullptr},
               {"state", nullptr},
               {"code", nullptr},
               {"signal", nullptr},
               {"reason", ""},
               {"step", nullptr},
               {"steps", nullptr},
               {"started", nullptr},
               {"ended", UtcNow()},
               {"wall_s", nullptr},
               {"cpu_s", nullptr},
               {"peak_rss_mb", nullptr},
               {"guards", json::array()},
               {"summary", json::object()}};
  exit.update(fields);
  return WriteFileAtomic(run_folder + "/exit.json", JsonText(exit, 1) + "\n");
}

absl::Status CloseRun(const std::string& run_folder, const json& fields) {
  if (access((run_folder + "/exit.json").c_str(), F_OK) == 0) return absl::OkStatus();
  const auto text = ReadFile(run_folder + "/status.json");
  const json status = text.ok() ? json::parse(*text, nullptr, /*allow_exceptions=*/false) : json();
  json exit = {{"attempt", 1}};
  for (const char* name : {"attempt", "step", "steps", "started"}) {
    if (status.is_object() && status.contains(name)) exit[name] = status[name];
  }
  if (exit.contains("started") && exit["started"].is_string()) {
    if (const auto started = SecondsOfUtc(exit["started"].get<std::string>())) exit["wall_s"] = UnixNow() - *started;
  }
  exit.update(fields);
  return WriteExit(run_folder, exit);
}

}  // namespace lanthorn
