#include "engine/run/run_directory.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <set>
#include <system_error>

#include "engine/base/files/files.h"
#include "engine/run/exit_file.h"
#include "engine/run/json_text.h"
#include "engine/run/process/attempt.h"
#include "engine/run/process/claim.h"
#include "engine/run/process/git.h"
#include "engine/run/process/machine.h"
#include "engine/run/process/process_identity.h"

namespace lanthorn {
namespace {

using nlohmann::json;

constexpr int kFormat = 1;
constexpr size_t kLongestDiff = size_t{1} << 20;
constexpr char kDiff[] = "git.diff";  // in src/, beside the sources
constexpr char kBytecode[] = "\x1bLJ";
const std::set<std::string> kEndStates = {"FINISHED", "FAILED",   "INTERRUPTED", "PREEMPTED",
                                          "TIMEOUT",  "DIVERGED", "PRUNED",      "STALLED"};

rusage Usage() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage;
}

double CpuSeconds() {
  const rusage usage = Usage();
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Megabytes of 10^6 bytes; the kernel counts in units of 1,024.
json PeakRssMb() {
  const double peak_mb = static_cast<double>(Usage().ru_maxrss) * 1024 / 1e6;
  return peak_mb > 0 ? json(peak_mb) : json(nullptr);  // unknown is not zero (guard G03)
}

// "2026-11-21T10:15:00.123Z" -> "20261121-101500".
std::string StampOf(const std::string& time) {
  std::string digits;
  for (char c : time.substr(0, time.find('.'))) {
    if (c == 'T') digits += '-';
    if (c >= '0' && c <= '9') digits += c;
  }
  return digits;
}

bool IsFinite(const json& value) {
  if (value.is_number_float()) return std::isfinite(value.get<double>());
  if (!value.is_structured()) return true;
  return std::all_of(value.begin(), value.end(), IsFinite);
}

// A relative path that stays below its folder, of characters a line of text can hold.
bool IsInside(const std::string& name) {
  const std::filesystem::path path(name);
  if (name.empty() || name.back() == '/' || path.is_absolute() || name == kDiff) return false;
  if (std::any_of(name.begin(), name.end(), [](unsigned char c) { return c < ' '; })) return false;
  return std::all_of(path.begin(), path.end(), [](const auto& part) { return part != ".." && part != "."; });
}

// Hex digits for a run made at this time: the millisecond, then 14 random bits, and above those of the run that this
// process claimed before in the same second. So the newer of two runs is the newer by id, whichever process made it.
std::string DrawAbove(const std::string& time) {
  static std::mutex mutex;
  static std::string last_stamp;
  static uint32_t last = 0;
  constexpr uint32_t kRandom = 1u << 14, kMost = 0xffffff;
  const std::lock_guard lock(mutex);
  const std::string stamp = StampOf(time);
  const auto milliseconds = static_cast<uint32_t>(std::stoul(time.substr(time.find('.') + 1, 3)));
  const uint32_t drawn = milliseconds * kRandom + static_cast<uint32_t>(std::stoul(DrawHex(), nullptr, 16)) % kRandom;
  last = stamp == last_stamp ? std::min(kMost, std::max(last + 1, drawn)) : drawn;
  last_stamp = stamp;
  char text[8];
  std::snprintf(text, sizeof text, "%06x", last);
  return text;
}

absl::Status Unwritable(const std::string& root, const absl::Status& cause) {
  return MachineError(absl::StrCat("results folder '", root, "' cannot take a run: ", MessageOf(cause),
                                   "; set RUNNER_RESULTS_DIR to a folder you can write to"));
}

json FirstStatus(const std::string& created, int attempt) {
  return {{"format", kFormat},          {"state", "QUEUED"},   {"phase", "load"},    {"step", 0},
          {"steps", nullptr},           {"epoch", 0},          {"attempt", attempt}, {"pid", getpid()},
          {"host", HostName()},         {"boot_id", BootId()}, {"started", created}, {"eta_s", nullptr},
          {"last_checkpoint", nullptr}, {"loss", nullptr},     {"message", nullptr}};
}

}  // namespace

RunDirectory::RunDirectory(std::string path, std::string id, std::string experiment, std::string created,
                           RunOptions options)
    : path_(std::move(path)),
      id_(std::move(id)),
      experiment_(std::move(experiment)),
      created_(std::move(created)),
      options_(std::move(options)),
      cpu_at_start_(CpuSeconds()) {}

RunDirectory::~RunDirectory() = default;

absl::StatusOr<std::unique_ptr<RunDirectory>> RunDirectory::Claim(const std::string& results_root,
                                                                  const std::string& experiment,
                                                                  const RunOptions& options) {
  LANTHORN_RETURN_IF_ERROR(CheckExperimentName(experiment));
  const std::string folder = results_root + "/" + experiment;
  if (absl::Status status = EnsureDirectory(folder); !status.ok()) return Unwritable(results_root, status);
  const std::string created = UtcNow();
  const auto id = ClaimRunId(folder, StampOf(created), [&created] { return DrawAbove(created); });
  if (!id.ok()) return Unwritable(results_root, id.status());

  std::unique_ptr<RunDirectory> run(new RunDirectory(folder + "/" + *id, *id, experiment, created, options));
  absl::Status status = run->Begin();
  if (status.ok()) status = UpdateLatest(folder);
  if (status.ok()) return run;
  // The object goes first: its heartbeat must not write into a folder that is being removed.
  const std::string path = run->path_;
  run.reset();
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
  return Unwritable(results_root, status);
}

absl::StatusOr<std::unique_ptr<RunDirectory>> RunDirectory::Reopen(const std::string& path, const RunOptions& options) {
  LANTHORN_ASSIGN_OR_RETURN(const std::string text, ReadFile(path + "/manifest.json"));
  const json manifest = json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto field = [&](const char* key) -> std::string {
    const auto it = manifest.is_object() ? manifest.find(key) : manifest.end();
    return it != manifest.end() && it->is_string() ? it->get<std::string>() : "";
  };
  if (field("run_id").empty() || field("experiment").empty())
    return DataError(absl::StrCat("'", path, "/manifest.json': is not the manifest of a run; it cannot be resumed"));
  const std::string started = UtcNow();
  std::unique_ptr<RunDirectory> run(new RunDirectory(path, field("run_id"), field("experiment"), started, options));
  run->config_hash_ = field("config_hash");
  LANTHORN_RETURN_IF_ERROR(run->Begin());
  return run;
}

absl::Status RunDirectory::Begin() {
  LANTHORN_ASSIGN_OR_RETURN(const int attempt, ClaimAttempt(path_));
  attempt_ = attempt;
  LANTHORN_ASSIGN_OR_RETURN(metrics_, MetricsWriter::Open(path_ + "/metrics.jsonl"));
  LANTHORN_ASSIGN_OR_RETURN(log_, PlainLog::Open(path_ + "/stdout.log"));
  LANTHORN_ASSIGN_OR_RETURN(
      status_, StatusFile::Start(path_ + "/status.json", FirstStatus(created_, attempt), options_.heartbeat));
  return absl::OkStatus();
}

absl::StatusOr<std::string> RunDirectory::WriteConfig(const json& given, const json& origin) {
  if (!IsFinite(given)) return ConfigError("config: a value is not a finite number");
  const json values = EncodeBytes(given);
  const std::string hash = "sha256:" + Sha256Hex(JsonText(values));
  const json file = {{"format", kFormat}, {"values", values}, {"origin", origin}};
  LANTHORN_RETURN_IF_ERROR(WriteFileAtomic(path_ + "/config.json", JsonText(file, 1) + "\n"));
  config_hash_ = hash;
  return hash;
}

absl::Status RunDirectory::AddSource(const std::string& name, const std::string& contents) {
  if (!IsInside(name))
    return ConfigError(
        absl::StrCat("source '", name, "': the name must be a relative path below src/, other than git.diff"));
  if (contents.rfind(kBytecode, 0) == 0)
    return ConfigError(absl::StrCat("source '", name, "': is bytecode; only text is recorded and run"));
  const std::string path = path_ + "/src/" + name;
  LANTHORN_RETURN_IF_ERROR(EnsureDirectory(std::filesystem::path(path).parent_path().string()));
  LANTHORN_RETURN_IF_ERROR(WriteFileAtomic(path, contents));
  sources_[name] = Sha256Hex(contents);
  return absl::OkStatus();
}

std::string SourceHashOf(const std::map<std::string, std::string>& sources) {
  std::string lines;
  for (const auto& [name, hash] : sources) lines += hash + "  " + name + "\n";
  return "sha256:" + Sha256Hex(lines);
}

absl::Status RunDirectory::WriteManifest(const json& fields) {
  json manifest = {{"format", kFormat},
                   {"run_id", id_},
                   {"experiment", experiment_},
                   {"created", created_},
                   {"config_hash", config_hash_},
                   {"source_hash", SourceHash()},
                   {"name", nullptr},
                   {"tags", json::array()},
                   {"argv", json::array()},
                   {"overrides", json::array()},
                   {"data", json::array()},
                   {"first_batch_sha256", nullptr},
                   {"parent", nullptr},
                   {"sweep", nullptr},
                   {"scheduler", nullptr},
                   {"world_size", 1},
                   {"env", json::object()},
                   {"machine", MachineFingerprint()},
                   {"git", GitState(options_.source_folder)}};
  if (manifest["git"].is_object() && manifest["git"]["dirty"].get<bool>()) {
    LANTHORN_RETURN_IF_ERROR(EnsureDirectory(path_ + "/src"));
    LANTHORN_RETURN_IF_ERROR(WriteFileAtomic(path_ + "/src/" + kDiff, GitDiff(options_.source_folder, kLongestDiff)));
  }
  json versions = LibraryVersions();
  if (const auto more = fields.find("versions"); more != fields.end()) versions.update(*more);
  json machine = manifest["machine"];
  if (const auto more = fields.find("machine"); more != fields.end()) machine.update(*more);
  manifest.update(fields);
  manifest["machine"] = std::move(machine);
  manifest["versions"] = std::move(versions);
  return WriteFileAtomic(path_ + "/manifest.json", JsonText(EncodeBytes(std::move(manifest)), 1) + "\n");
}

void RunDirectory::AppendLog(const std::string& text) {
  const std::lock_guard lock(log_mutex_);
  absl::Status status = log_->Append(text);
  if (log_error_.ok()) log_error_ = std::move(status);
}

absl::Status RunDirectory::LogMetrics(json object) {
  if (object.is_object() && !object.contains("step")) object["step"] = status_->Get("step");
  return metrics_->Append(std::move(object));
}

absl::Status RunDirectory::AddMetricsSink(std::shared_ptr<MetricsSink> sink) {
  return metrics_->AddSink(std::move(sink));
}

absl::Status RunDirectory::UpdateStatus(const json& fields) { return status_->Update(fields); }

absl::Status RunDirectory::Finish(const RunEnd& end) {
  if (finished_) return Error(ExitCode::kScript, absl::StrCat("run '", id_, "': is finished already"));
  if (!kEndStates.count(end.state))
    return Error(ExitCode::kScript, absl::StrCat("run '", id_, "': '", end.state, "' is not an end state"));
  finished_ = true;
  const absl::Status status_written = status_->Stop({{"state", end.state}});
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - started_;
  json exit = {{"attempt", status_->Get("attempt")},
               {"state", end.state},
               {"code", end.code},
               {"reason", end.reason},
               {"step", status_->Get("step")},
               {"steps", status_->Get("steps")},
               {"started", created_},
               {"wall_s", wall.count()},
               {"cpu_s", CpuSeconds() - cpu_at_start_},
               {"peak_rss_mb", PeakRssMb()},
               {"guards", end.guards},
               {"summary", end.summary}};
  if (end.signal) exit["signal"] = *end.signal;
  LANTHORN_RETURN_IF_ERROR(WriteExit(path_, exit));
  LANTHORN_RETURN_IF_ERROR(status_written);
  const std::lock_guard lock(log_mutex_);
  return log_error_;
}

}  // namespace lanthorn
