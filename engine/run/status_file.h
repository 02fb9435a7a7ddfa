// status.json: what a run is doing now, rewritten by a thread of its own, so that a stuck script still shows its phase
// and a dead one an old heartbeat.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "engine/base/status.h"

namespace lanthorn {

// Written atomically, without fsync, every `period` and at once when `state` or `phase` changes. Safe to call from
// several threads.
class StatusFile {
 public:
  // Writes `fields` (and `heartbeat`, the time) and starts the thread. MachineError when the file cannot be written.
  static absl::StatusOr<std::unique_ptr<StatusFile>> Start(const std::string& path, nlohmann::json fields,
                                                           std::chrono::milliseconds period);
  // Ends the thread; the file stays as last written.
  ~StatusFile();

  // Merges `fields`. Returns the error of this write, or the one the thread met since the last call.
  absl::Status Update(const nlohmann::json& fields);

  // Ends the thread, merges `fields` and writes one last time.
  absl::Status Stop(const nlohmann::json& fields);

  // The field's newest value; null when it was never set.
  nlohmann::json Get(const std::string& field) const;

 private:
  StatusFile(std::string path, nlohmann::json fields, std::chrono::milliseconds period);
  void Beat();
  void EndThread();
  absl::Status Write();

  const std::string path_;
  const std::chrono::milliseconds period_;
  std::mutex write_mutex_;    // one writer of the file at a time; taken before mutex_
  mutable std::mutex mutex_;  // guards what follows; never held during disk access
  nlohmann::json fields_;
  absl::Status thread_error_;
  bool stopping_ = false;
  std::condition_variable wake_;
  std::thread thread_;
};

}  // namespace lanthorn
