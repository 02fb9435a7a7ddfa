// The directory of one run: claimed, described, filled while the run goes on, and closed. The files and their fields
// are specified in README.md beside this file.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "engine/base/status.h"
#include "engine/run/metrics/metrics_sink.h"
#include "engine/run/metrics/metrics_writer.h"
#include "engine/run/metrics/plain_log.h"
#include "engine/run/status_file.h"

namespace lanthorn {

struct RunOptions {
  std::chrono::milliseconds heartbeat{10'000};
  std::string source_folder = ".";  // asked for its git state
};

// How a run ended. `state` is FINISHED, FAILED, INTERRUPTED, PREEMPTED, TIMEOUT, DIVERGED, PRUNED or STALLED.
struct RunEnd {
  std::string state = "FINISHED";
  int code = 0;  // exit code of the process
  std::string reason = {};
  std::optional<int> signal = {};
  nlohmann::json guards = nlohmann::json::array();    // [{id, level, value, limit, message}]
  nlohmann::json summary = nlohmann::json::object();  // {metric: {last, best, best_step}}
};

// "sha256:" + hash over what sha256sum prints for files given as name -> sha256, sorted by name.
std::string SourceHashOf(const std::map<std::string, std::string>& sources);

// Errors are MachineError where the disk refuses. LogMetrics, UpdateStatus and AppendLog may be called from several
// threads; the rest from the thread that owns the run.
class RunDirectory {
 public:
  // Takes a new folder results_root/experiment/<id>, begins its status.json (state QUEUED, phase load) with a heartbeat
  // thread, and points `latest` at it. ConfigError for a bad name; MachineError that names the folder when it cannot be
  // written, and then nothing of the run stays.
  static absl::StatusOr<std::unique_ptr<RunDirectory>> Claim(const std::string& results_root,
                                                             const std::string& experiment,
                                                             const RunOptions& options = {});
  // Goes on with a run that has ended or died: takes its next attempt, begins status.json anew and appends to
  // metrics.jsonl and stdout.log. Config, sources and manifest stay as they are. Error 5 that names the process when
  // the run is worked on; DataError when the folder holds no run.
  static absl::StatusOr<std::unique_ptr<RunDirectory>> Reopen(const std::string& path, const RunOptions& options = {});
  // Without Finish the files stay as they are: readers see the run as dead once its process is gone.
  ~RunDirectory();

  const std::string& path() const { return path_; }
  const std::string& id() const { return id_; }
  int attempt() const { return attempt_; }
  // "sha256:..." of the config; empty before WriteConfig.
  std::string config_hash() const { return config_hash_.is_string() ? config_hash_.get<std::string>() : ""; }

  // Writes config.json and returns config_hash, "sha256:" + hash of `values` without spaces. `origin` maps each path to
  // "default", "script", "cell" or "cli". ConfigError for a number that is not finite.
  absl::StatusOr<std::string> WriteConfig(const nlohmann::json& values, const nlohmann::json& origin);

  // Stores src/<name>, a relative path. ConfigError for a name that leaves src/ and for bytecode.
  absl::Status AddSource(const std::string& name, const std::string& contents);

  // SourceHashOf the added sources.
  std::string SourceHash() const { return SourceHashOf(sources_); }

  // Writes manifest.json: `fields` over what this class knows (format, run_id, experiment, created, config_hash,
  // source_hash, git, machine, versions) and null or empty for what neither knows. `machine` and `versions` are merged
  // by key. Also stores the git diff of changed sources. Call it after WriteConfig and AddSource, before the first
  // step.
  absl::Status WriteManifest(const nlohmann::json& fields);

  // Appends to stdout.log without ANSI escapes. The first failure is returned by Finish: printing must not end a run.
  void AppendLog(const std::string& text);

  // One line of metrics.jsonl; see MetricsWriter::Append. A line without a step gets that of the status.
  absl::Status LogMetrics(nlohmann::json object);

  // Also gives the lines to the sink from now on; see MetricsWriter::AddSink.
  absl::Status AddMetricsSink(std::shared_ptr<MetricsSink> sink);

  // Merges fields of status.json (phase, step, steps, epoch, eta_s, last_checkpoint, loss, message ...); written at
  // the next heartbeat, at once when state or phase changes.
  absl::Status UpdateStatus(const nlohmann::json& fields);

  // Writes the last status.json, ends the heartbeat and writes exit.json last. Step counts come from the status. A
  // second call is an error.
  absl::Status Finish(const RunEnd& end);

 private:
  RunDirectory(std::string path, std::string id, std::string experiment, std::string created, RunOptions options);
  absl::Status Begin();

  const std::string path_;
  const std::string id_;
  const std::string experiment_;
  const std::string created_;
  const RunOptions options_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  const double cpu_at_start_;
  int attempt_ = 0;
  nlohmann::json config_hash_;                  // null until known
  std::map<std::string, std::string> sources_;  // name -> sha256
  std::unique_ptr<StatusFile> status_;
  std::unique_ptr<MetricsWriter> metrics_;
  std::mutex log_mutex_;
  std::optional<PlainLog> log_;
  absl::Status log_error_;
  bool finished_ = false;
};

}  // namespace lanthorn
