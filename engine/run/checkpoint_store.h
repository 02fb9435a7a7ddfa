// The checkpoints of one run: written so that they are whole or not there, verified before they are believed. The
// format is specified in README.md beside this file.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/base/files/safetensors.h"
#include "engine/base/status.h"

namespace lanthorn {

// What a checkpoint holds. Tensors are read when it is written.
struct CheckpointContent {
  int64_t step = 0;
  NamedTensors model;      // parameters and buffers by name
  NamedTensors optimizer;  // "<slot>/<parameter>"
  nlohmann::json state;    // state.json but for `format` and `step`
  nlohmann::json probe;    // {sha256, sum, ...}, or null
  std::map<std::string, std::string> model_metadata = {};
  NamedTensors penalty = {};  // of a term of the objective that has a state of its own; mostly none
  NamedTensors hybrid = {};   // of a training that predicts some of its updates; mostly none
};

struct WrittenCheckpoint {
  std::string name;  // "step-00001200"
  int64_t bytes = 0;
};

// The newest checkpoint that verifies, and why each newer one was passed over: "step-00001200: <reason>".
struct FoundCheckpoint {
  std::string name;
  int64_t step = 0;
  std::vector<std::string> passed_over;
};

// Which checkpoints stay: the newest `last`, those that are linked, and every one whose step `every` divides (0: none).
struct Retention {
  int64_t last = 2;
  int64_t every = 0;
};

class CheckpointStore {
 public:
  // The store of a run directory. Nothing is made before the first Write.
  CheckpointStore(std::string run_folder, std::string run_id);

  // Bytes that must be free before a checkpoint of `bytes` is written: 1.2 times its size, and 4 times its size and 1
  // MiB (at most 256 MiB) for others.
  static int64_t SpaceNeeded(int64_t bytes);
  // Free bytes where the checkpoints are; no value when the file system does not say.
  std::optional<int64_t> SpaceFree() const;

  // Writes step-N in a temporary folder, its manifest last, then renames it to its name. When it fails nothing of it
  // stays, and a checkpoint of the same step that was there is there still. MachineError when the disk refuses.
  absl::StatusOr<WrittenCheckpoint> Write(const CheckpointContent& content);

  // Points the link "latest" or "best" at a checkpoint.
  absl::Status Link(const std::string& link, const std::string& name);
  // What a link points at; empty when it does not exist.
  std::string Linked(const std::string& link) const;

  // The manifest of a checkpoint whose files are exactly those it lists, with their sizes and hashes; else WeightsError
  // that says what is wrong. All checkpoints of a run must name its id.
  absl::StatusOr<nlohmann::json> Verify(const std::string& name) const;
  // WeightsError that lists every one passed over when none verifies, or when there is none.
  absl::StatusOr<FoundCheckpoint> Newest() const;
  // Verifies and reads. State is state.json, probe that of the manifest.
  absl::StatusOr<CheckpointContent> Read(const std::string& name) const;

  // Names of all checkpoints, the highest step first.
  std::vector<std::string> List() const;
  // Bytes of the files of a checkpoint.
  int64_t Bytes(const std::string& name) const;
  // Renames every checkpoint above this step to "void-<name>-<n>": a run that goes on from `step` will make its own.
  // Gives their names.
  absl::StatusOr<std::vector<std::string>> SetAside(int64_t step);
  // Names of what the rule does not keep. Fewer than `last` that verify: the older ones that do are kept.
  std::vector<std::string> Superfluous(const Retention& retention);
  // Removes them; gives the names.
  std::vector<std::string> Retain(const Retention& retention);
  // What processes that died left in between, as names: unfinished and half removed checkpoints.
  std::vector<std::string> Leftovers() const;
  // Removes them; gives the names.
  std::vector<std::string> RemoveLeftovers();
  // What SetAside moved away.
  std::vector<std::string> Void() const;
  std::vector<std::string> RemoveVoid();
  // Those that do not verify, as long as there is one that does; gives the names.
  std::vector<std::string> RemoveDamaged();

  const std::string& folder() const { return folder_; }

 private:
  absl::Status WriteFiles(const std::string& folder, const CheckpointContent& content);
  absl::Status Publish(const std::string& temporary, const std::string& name);
  void Remove(const std::string& name);

  std::string folder_, run_id_;
  mutable std::set<std::string> verified_;  // what this object wrote or saw whole
};

// "step-00001200".
std::string CheckpointName(int64_t step);
// The step of such a name; no value for any other.
std::optional<int64_t> CheckpointStep(const std::string& name);

}  // namespace lanthorn
