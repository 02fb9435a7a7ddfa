#include "engine/run/run_check.h"

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/base/files/files.h"
#include "engine/run/json_text.h"
#include "engine/run/metrics/metrics_reader.h"
#include "engine/run/run_directory.h"

namespace lanthorn {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

class Checker {
 public:
  explicit Checker(const std::string& folder) : folder_(folder) {}

  std::vector<std::string> Run() {
    const json manifest = Object("manifest.json", /*required=*/true);
    const json config = Object("config.json", /*required=*/true);
    Object("exit.json", /*required=*/false);
    Object("status.json", /*required=*/true);
    if (config.contains("values"))
      Compare(manifest, "config_hash", "sha256:" + Sha256Hex(JsonText(config["values"])), "config.json");
    if (manifest.contains("source_hash")) Compare(manifest, "source_hash", SourceHashOf(Sources()), "src/");
    if (fs::exists(folder_ + "/metrics.jsonl")) {
      const auto metrics = ReadMetrics(folder_ + "/metrics.jsonl");
      if (!metrics.ok()) problems_.push_back(MessageOf(metrics.status()));
    }
    return std::move(problems_);
  }

 private:
  json Object(const char* name, bool required) {
    const std::string path = folder_ + "/" + name;
    if (!fs::exists(path)) {
      if (required) problems_.push_back(absl::StrCat(name, " is missing"));
      return json::object();
    }
    const auto text = ReadFile(path);
    json value = text.ok() ? json::parse(*text, nullptr, /*allow_exceptions=*/false) : json();
    if (value.is_object()) return value;
    problems_.push_back(text.ok() ? absl::StrCat(name, " is not a JSON object") : MessageOf(text.status()));
    return json::object();
  }

  void Compare(const json& manifest, const char* field, const std::string& is, const char* what) {
    const auto recorded = manifest.find(field);
    if (recorded != manifest.end() && recorded->is_string() && *recorded != is)
      problems_.push_back(absl::StrCat(what, " is not what the manifest recorded (", field, ")"));
  }

  std::map<std::string, std::string> Sources() {
    std::map<std::string, std::string> sources;
    std::error_code error;
    for (fs::recursive_directory_iterator it(folder_ + "/src", error), end; !error && it != end; it.increment(error)) {
      const std::string name = fs::relative(it->path(), folder_ + "/src").string();
      if (!it->is_regular_file() || name == "git.diff") continue;
      const auto hash = Sha256File(it->path().string());
      sources[name] = hash.ok() ? *hash : "";
    }
    return sources;
  }

  const std::string folder_;
  std::vector<std::string> problems_;
};

}  // namespace

std::vector<std::string> CheckRunFiles(const std::string& run_folder) { return Checker(run_folder).Run(); }

}  // namespace lanthorn
