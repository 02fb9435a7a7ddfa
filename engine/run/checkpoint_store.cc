#include "engine/run/checkpoint_store.h"

#include <signal.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <set>
#include <system_error>

#include "absl/strings/str_join.h"
#include "engine/base/files/files.h"
#include "engine/base/files/syscalls.h"
#include "engine/run/json_text.h"

namespace lanthorn {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr int kFormat = 1;
constexpr char kManifest[] = "manifest.json", kModel[] = "model.safetensors", kOptim[] = "optim.safetensors",
               kPenalty[] = "penalty.safetensors", kHybrid[] = "hybrid.safetensors", kState[] = "state.json";
constexpr char kPrefix[] = "step-", kTemporary[] = ".tmp-", kTrash[] = ".trash-", kVoid[] = "void-";
constexpr size_t kDigits = 8;

absl::Status Wrong(const std::string& name, const std::string& what) {
  return WeightsError(absl::StrCat("checkpoint '", name, "': ", what));
}

// A JSON file of a checkpoint as an object of a format that is known.
absl::StatusOr<json> ReadObject(const std::string& folder, const std::string& name, const char* file) {
  const auto text = ReadFile(folder + "/" + name + "/" + file);
  if (!text.ok()) return Wrong(name, MessageOf(text.status()));
  json value = json::parse(*text, /*cb=*/nullptr, /*allow_exceptions=*/false);
  if (!value.is_object()) return Wrong(name, absl::StrCat(file, " is not a JSON object"));
  const auto format = value.find("format");
  if (format == value.end() || !format->is_number_integer()) return Wrong(name, absl::StrCat(file, " has no format"));
  if (format->get<int64_t>() > kFormat) {
    return Wrong(name,
                 absl::StrCat(file, " has format ", format->get<int64_t>(), ", this runner reads up to ", kFormat));
  }
  return value;
}

std::vector<std::string> Names(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    names.push_back(it->path().filename().string());
  return names;
}

// The process in a name such as "step-00001200.tmp-4711"; 0 when there is none.
pid_t OwnerOf(const std::string& name) {
  const size_t dash = name.rfind('-');
  if (dash == std::string::npos || dash + 1 == name.size()) return 0;
  pid_t pid = 0;
  for (size_t i = dash + 1; i < name.size(); ++i) {
    if (name[i] < '0' || name[i] > '9' || pid > 100'000'000) return 0;
    pid = pid * 10 + (name[i] - '0');
  }
  return pid;
}

bool IsAlive(pid_t pid) { return pid > 0 && (kill(pid, 0) == 0 || errno == EPERM); }

}  // namespace

std::string CheckpointName(int64_t step) {
  char name[32];
  std::snprintf(name, sizeof name, "step-%08lld", static_cast<long long>(step));
  return name;
}

std::optional<int64_t> CheckpointStep(const std::string& name) {
  const std::string digits = name.rfind(kPrefix, 0) == 0 ? name.substr(sizeof kPrefix - 1) : "";
  if (digits.size() < kDigits || digits.size() > 15) return std::nullopt;
  if (!std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; })) return std::nullopt;
  return std::stoll(digits);
}

CheckpointStore::CheckpointStore(std::string run_folder, std::string run_id)
    : folder_(std::move(run_folder) + "/checkpoints"), run_id_(std::move(run_id)) {}

int64_t CheckpointStore::SpaceNeeded(int64_t bytes) {
  // What others on the disk are left follows the content: a small model fits where little is free.
  return bytes + bytes / 5 + std::min(int64_t{256} << 20, 4 * bytes + (int64_t{1} << 20));
}

std::optional<int64_t> CheckpointStore::SpaceFree() const {
  struct statvfs info;
  // Before the first checkpoint the folder is not there; the run's is.
  const std::string run = folder_.substr(0, folder_.rfind('/'));
  if (statvfs(folder_.c_str(), &info) != 0 && statvfs(run.c_str(), &info) != 0) return std::nullopt;
  return static_cast<int64_t>(info.f_bavail) * static_cast<int64_t>(info.f_frsize);
}

absl::Status CheckpointStore::WriteFiles(const std::string& folder, const CheckpointContent& content) {
  LANTHORN_RETURN_IF_ERROR(WriteSafetensors(folder + "/" + kModel, content.model, content.model_metadata));
  LANTHORN_RETURN_IF_ERROR(WriteSafetensors(folder + "/" + kOptim, content.optimizer));
  json state = EncodeBytes(content.state);
  state["format"] = kFormat;
  state["step"] = content.step;
  LANTHORN_RETURN_IF_ERROR(WriteFileAtomic(folder + "/" + kState, JsonText(state, 1) + "\n"));
  json files = json::object();
  std::vector<const char*> names = {kModel, kOptim, kState};
  for (const auto& [name, tensors] : {std::pair{kPenalty, &content.penalty}, {kHybrid, &content.hybrid}}) {
    if (tensors->empty()) continue;
    LANTHORN_RETURN_IF_ERROR(WriteSafetensors(folder + "/" + name, *tensors));
    names.push_back(name);
  }
  for (const char* name : names) {
    const std::string path = folder + "/" + name;
    LANTHORN_ASSIGN_OR_RETURN(const std::string hash, Sha256File(path));
    std::error_code error;
    const auto bytes = fs::file_size(path, error);
    if (error) return MachineError(ErrnoMessage(path, "cannot read", error.value()));
    files[name] = {{"bytes", bytes}, {"sha256", "sha256:" + hash}};
  }
  const json manifest = {{"format", kFormat},   {"run_id", run_id_}, {"step", content.step},
                         {"created", UtcNow()}, {"files", files},    {"probe", content.probe}};
  LANTHORN_RETURN_IF_ERROR(WriteFileAtomic(folder + "/" + kManifest, JsonText(manifest, 1) + "\n"));
  return SyncFolder(folder);
}

// Gives the finished folder its name. One of that name is exchanged with it, so that there is one at every moment;
// where the file system cannot, it is moved away first, and back when that was in vain.
absl::Status CheckpointStore::Publish(const std::string& temporary, const std::string& name) {
  const std::string path = folder_ + "/" + name;
  std::string old;
  int failed = 0;
  if (!fs::exists(fs::symlink_status(path))) {
    failed = sys::Rename(temporary, path) != 0 ? errno : 0;
  } else if (sys::Exchange(temporary, path) == 0) {
    old = temporary;
  } else if (errno != EINVAL && errno != ENOSYS) {
    failed = errno;
  } else {
    old = absl::StrCat(folder_, "/", kTrash, name, "-", getpid());
    std::error_code ignored;
    fs::remove_all(old, ignored);
    if (sys::Rename(path, old) != 0) return MachineError(ErrnoMessage(path, "cannot move away", errno));
    failed = sys::Rename(temporary, path) != 0 ? errno : 0;
    if (failed != 0) (void)rename(old.c_str(), path.c_str());
  }
  if (failed != 0) return MachineError(ErrnoMessage(path, "cannot rename to it", failed));
  const absl::Status synced = SyncFolder(folder_);
  std::error_code ignored;
  if (!old.empty()) fs::remove_all(old, ignored);
  return synced;
}

absl::StatusOr<WrittenCheckpoint> CheckpointStore::Write(const CheckpointContent& content) {
  LANTHORN_RETURN_IF_ERROR(EnsureDirectory(folder_));
  const std::string name = CheckpointName(content.step);
  const std::string temporary = absl::StrCat(folder_, "/", name, kTemporary, getpid());
  std::error_code ignored;
  fs::remove_all(temporary, ignored);  // of this process's number, and so of nobody alive
  if (sys::Mkdir(temporary) != 0) return MachineError(ErrnoMessage(temporary, "cannot make folder", errno));
  absl::Status status = WriteFiles(temporary, content);
  if (status.ok()) status = Publish(temporary, name);
  if (!status.ok()) {
    fs::remove_all(temporary, ignored);
    return status;
  }
  verified_.insert(name);
  return WrittenCheckpoint{name, Bytes(name)};
}

absl::Status CheckpointStore::Link(const std::string& link, const std::string& name) {
  return ReplaceLink(folder_ + "/" + link, name);
}

std::string CheckpointStore::Linked(const std::string& link) const {
  std::error_code error;
  const fs::path target = fs::read_symlink(folder_ + "/" + link, error);
  return error ? "" : target.string();
}

absl::StatusOr<json> CheckpointStore::Verify(const std::string& name) const {
  const auto step = CheckpointStep(name);
  if (!step) return Wrong(name, "is not a checkpoint name, such as step-00001200");
  LANTHORN_ASSIGN_OR_RETURN(json manifest, ReadObject(folder_, name, kManifest));
  const json nothing;
  const auto field = [&](const char* key) -> const json& {
    const auto it = manifest.find(key);
    return it == manifest.end() ? nothing : *it;
  };
  if (!field("run_id").is_string() || field("run_id") != run_id_)
    return Wrong(name, absl::StrCat("belongs to run ", JsonText(field("run_id")), ", not to '", run_id_, "'"));
  if (!field("step").is_number_integer() || field("step") != *step)
    return Wrong(name, absl::StrCat("its manifest says step ", JsonText(field("step"))));
  const json& files = field("files");
  if (!files.is_object()) return Wrong(name, "the manifest lists no files");
  std::set<std::string> present;
  for (const std::string& file : Names(folder_ + "/" + name)) present.insert(file);
  present.erase(kManifest);
  for (const char* file : {kModel, kOptim, kState}) {
    if (!files.contains(file)) return Wrong(name, absl::StrCat("the manifest does not list ", file));
  }
  for (const auto& [file, about] : files.items()) {
    const std::string path = folder_ + "/" + name + "/" + file;
    if (present.erase(file) == 0) return Wrong(name, file + " is missing");
    if (!about.is_object() || !about.contains("bytes") || !about["bytes"].is_number_unsigned() ||
        !about.contains("sha256") || !about["sha256"].is_string()) {
      return Wrong(name, "the manifest's entry of " + file + " has no bytes and sha256");
    }
    std::error_code error;
    const uint64_t bytes = fs::file_size(path, error), wanted = about["bytes"].get<uint64_t>();
    if (error) return Wrong(name, absl::StrCat(file, ": cannot read: ", error.message()));
    if (bytes != wanted) return Wrong(name, absl::StrCat(file, " has ", bytes, " bytes, expected ", wanted));
    const auto hash = Sha256File(path);
    if (!hash.ok()) return Wrong(name, MessageOf(hash.status()));
    if ("sha256:" + *hash != about["sha256"].get_ref<const std::string&>())
      return Wrong(name, file + " is damaged: its sha256 is not the recorded one");
  }
  if (!present.empty()) return Wrong(name, "unexpected file " + *present.begin());
  verified_.insert(name);
  return manifest;
}

absl::StatusOr<FoundCheckpoint> CheckpointStore::Newest() const {
  FoundCheckpoint found;
  for (const std::string& name : List()) {
    const auto manifest = Verify(name);
    if (manifest.ok()) {
      found.name = name;
      found.step = *CheckpointStep(name);
      return found;
    }
    found.passed_over.push_back(MessageOf(manifest.status()));
  }
  if (found.passed_over.empty()) return WeightsError(absl::StrCat("'", folder_, "': there is no checkpoint"));
  return WeightsError(
      absl::StrCat("'", folder_, "': no checkpoint verifies: ", absl::StrJoin(found.passed_over, "; ")));
}

absl::StatusOr<CheckpointContent> CheckpointStore::Read(const std::string& name) const {
  LANTHORN_ASSIGN_OR_RETURN(json manifest, Verify(name));
  CheckpointContent content;
  content.step = *CheckpointStep(name);
  content.probe = manifest.value("probe", json());
  LANTHORN_ASSIGN_OR_RETURN(json state, ReadObject(folder_, name, kState));
  content.state = DecodeBytes(std::move(state));
  LANTHORN_ASSIGN_OR_RETURN(SafetensorsFile model, ReadSafetensors(folder_ + "/" + name + "/" + kModel));
  LANTHORN_ASSIGN_OR_RETURN(SafetensorsFile optimizer, ReadSafetensors(folder_ + "/" + name + "/" + kOptim));
  content.model = std::move(model.tensors);
  content.optimizer = std::move(optimizer.tensors);
  for (const auto& [file, tensors] : {std::pair{kPenalty, &content.penalty}, {kHybrid, &content.hybrid}}) {
    if (!manifest.at("files").contains(file)) continue;
    LANTHORN_ASSIGN_OR_RETURN(SafetensorsFile read, ReadSafetensors(folder_ + "/" + name + "/" + file));
    *tensors = std::move(read.tensors);
  }
  return content;
}

std::vector<std::string> CheckpointStore::List() const {
  std::vector<std::string> names = Names(folder_);
  std::erase_if(names, [](const std::string& name) { return !CheckpointStep(name); });
  std::sort(names.begin(), names.end(),
            [](const std::string& a, const std::string& b) { return *CheckpointStep(a) > *CheckpointStep(b); });
  return names;
}

int64_t CheckpointStore::Bytes(const std::string& name) const {
  int64_t bytes = 0;
  std::error_code error;
  for (const std::string& file : Names(folder_ + "/" + name)) {
    const auto size = fs::file_size(folder_ + "/" + name + "/" + file, error);
    if (!error) bytes += static_cast<int64_t>(size);
  }
  return bytes;
}

// Out of sight by one rename, so that a half removed checkpoint never looks like one.
void CheckpointStore::Remove(const std::string& name) {
  std::string target = folder_ + "/" + name;
  if (CheckpointStep(name)) {
    const std::string trash = absl::StrCat(folder_, "/", kTrash, name, "-", getpid());
    if (sys::Rename(target, trash) != 0) return;  // it stays, and is tried again the next time
    target = trash;
  }
  std::error_code ignored;
  fs::remove_all(target, ignored);
}

absl::StatusOr<std::vector<std::string>> CheckpointStore::SetAside(int64_t step) {
  std::vector<std::string> moved;
  for (const std::string& name : List()) {
    if (*CheckpointStep(name) <= step) break;
    std::string to;
    for (int i = 1; to.empty() || fs::exists(fs::symlink_status(to)); ++i)
      to = absl::StrCat(folder_, "/", kVoid, name, "-", i);
    if (sys::Rename(folder_ + "/" + name, to) != 0)
      return MachineError(ErrnoMessage(folder_ + "/" + name, "cannot move away", errno));
    moved.push_back(name);
  }
  return moved;
}

std::vector<std::string> CheckpointStore::Superfluous(const Retention& retention) {
  const std::set<std::string> linked = {Linked("latest"), Linked("best")};
  std::vector<std::string> found;
  int64_t kept = 0;
  for (const std::string& name : List()) {
    if (kept < retention.last) {
      // Only what can be resumed counts as kept.
      if (verified_.count(name) > 0 || Verify(name).ok()) ++kept;
      continue;
    }
    if (linked.count(name) > 0) continue;
    if (retention.every > 0 && *CheckpointStep(name) % retention.every == 0) continue;
    found.push_back(name);
  }
  return found;
}

std::vector<std::string> CheckpointStore::Retain(const Retention& retention) {
  std::vector<std::string> removed = Superfluous(retention);
  for (const std::string& name : removed) Remove(name);
  return removed;
}

std::vector<std::string> CheckpointStore::Leftovers() const {
  std::vector<std::string> found;
  for (const std::string& name : Names(folder_)) {
    const bool unfinished = name.find(kTemporary) != std::string::npos || name.rfind(kTrash, 0) == 0;
    if (unfinished && (OwnerOf(name) == getpid() || !IsAlive(OwnerOf(name)))) found.push_back(name);
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::string> CheckpointStore::RemoveLeftovers() {
  std::vector<std::string> found = Leftovers();
  for (const std::string& name : found) Remove(name);
  return found;
}

std::vector<std::string> CheckpointStore::Void() const {
  std::vector<std::string> found = Names(folder_);
  std::erase_if(found, [](const std::string& name) { return name.rfind(kVoid, 0) != 0; });
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::string> CheckpointStore::RemoveVoid() {
  std::vector<std::string> found = Void();
  for (const std::string& name : found) Remove(name);
  return found;
}

std::vector<std::string> CheckpointStore::RemoveDamaged() {
  std::vector<std::string> damaged;
  const std::vector<std::string> all = List();
  for (const std::string& name : all) {
    if (!Verify(name).ok()) damaged.push_back(name);
  }
  if (damaged.size() == all.size()) return {};
  for (const std::string& name : damaged) Remove(name);
  return damaged;
}

}  // namespace lanthorn
