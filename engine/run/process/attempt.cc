#include "engine/run/process/attempt.h"

#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>
#include <thread>

#include "engine/base/files/files.h"
#include "engine/base/files/syscalls.h"
#include "engine/run/json_text.h"
#include "engine/run/process/process_identity.h"

namespace lanthorn {
namespace {

using nlohmann::json;
using std::chrono::seconds;
namespace fs = std::filesystem;

constexpr char kAttempt[] = ".attempt-";
constexpr seconds kHeartbeatLimit{120};
constexpr std::chrono::milliseconds kOwnerDelay{1000};  // an owner writes its name right after its mkdir

std::string AttemptFolder(const std::string& run, int attempt) { return absl::StrCat(run, "/", kAttempt, attempt); }

// The number of the newest attempt; 0 when there is none.
int NewestAttempt(const std::string& run) {
  int attempt = 0;
  while (fs::exists(AttemptFolder(run, attempt + 1))) ++attempt;
  return attempt;
}

json ReadObject(const std::string& path) {
  const auto text = ReadFile(path);
  json value = text.ok() ? json::parse(*text, nullptr, /*allow_exceptions=*/false) : json();
  return value.is_object() ? value : json::object();
}

std::string Text(const json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}

bool IsYoung(const std::string& path, std::chrono::nanoseconds limit) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return false;
  const auto changed = seconds(info.st_mtim.tv_sec) + std::chrono::nanoseconds(info.st_mtim.tv_nsec);
  return std::chrono::system_clock::now().time_since_epoch() - changed < limit;
}

// The process that took an attempt, from its owner.json; no value before that is written.
std::optional<Owner> OwnerOfAttempt(const std::string& run, int attempt) {
  const json file = ReadObject(AttemptFolder(run, attempt) + "/owner.json");
  const auto pid = file.find("pid");
  if (pid == file.end() || !pid->is_number_integer()) return std::nullopt;
  Owner owner{pid->get<int64_t>(), Text(file, "host"), false};
  if (owner.host != HostName()) {
    owner.alive = IsYoung(run + "/status.json", kHeartbeatLimit);
  } else {
    owner.alive = IsAlive(file);
  }
  return owner;
}

// Whether this attempt wrote its exit.json. That of an earlier one may be there still while it is being taken over.
bool HasEnded(const std::string& run, int attempt) {
  const json ended = ReadObject(run + "/exit.json");
  const auto number = ended.find("attempt");
  return number != ended.end() && number->is_number_integer() && number->get<int64_t>() >= attempt;
}

absl::Status Refused(const std::string& run, const Owner& owner) {
  return Error(ExitCode::kCheckpoint, absl::StrCat("run '", run, "' is in use by process ", owner.pid,
                                                   owner.host == HostName() ? "" : " on " + owner.host,
                                                   "; stop that process, or wait for it to end"));
}

absl::Status WriteOwner(const std::string& run, int attempt) {
  return WriteFileAtomic(AttemptFolder(run, attempt) + "/owner.json", JsonText(ThisProcess(), 1) + "\n");
}

}  // namespace

std::optional<Owner> OwnerOfRun(const std::string& run_folder) {
  const int attempt = NewestAttempt(run_folder);
  if (attempt == 0 || HasEnded(run_folder, attempt)) return std::nullopt;
  std::optional<Owner> owner = OwnerOfAttempt(run_folder, attempt);
  return owner && owner->alive ? owner : std::nullopt;
}

absl::StatusOr<int> ClaimAttempt(const std::string& run_folder) {
  const int last = NewestAttempt(run_folder);
  if (const auto owner = OwnerOfRun(run_folder)) return Refused(run_folder, *owner);
  // Taken a moment ago, by one who has not said who it is: it gets the time to.
  const auto begin = std::chrono::steady_clock::now();
  const auto wait_for = [&](int attempt) {
    std::optional<Owner> owner;
    while (!(owner = OwnerOfAttempt(run_folder, attempt)) && std::chrono::steady_clock::now() - begin < kOwnerDelay)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return owner;
  };
  if (last > 0 && !HasEnded(run_folder, last) && IsYoung(AttemptFolder(run_folder, last), kOwnerDelay)) {
    const auto owner = wait_for(last);
    if (owner && owner->alive) return Refused(run_folder, *owner);
  }
  const int attempt = last + 1;
  const std::string folder = AttemptFolder(run_folder, attempt);
  if (sys::Mkdir(folder) != 0) {
    if (errno != EEXIST) return MachineError(ErrnoMessage(folder, "cannot make folder", errno));
    return Refused(run_folder, wait_for(attempt).value_or(Owner{0, HostName(), true}));
  }
  LANTHORN_RETURN_IF_ERROR(WriteOwner(run_folder, attempt));
  const std::string exit = run_folder + "/exit.json";
  if (attempt > 1 && fs::exists(exit)) {
    const json ended = ReadObject(exit);
    const auto number = ended.find("attempt");
    const int of = number != ended.end() && number->is_number_integer() ? number->get<int>() : last;
    if (sys::Rename(exit, absl::StrCat(run_folder, "/exit.", of, ".json")) != 0)
      return MachineError(ErrnoMessage(exit, "cannot rename", errno));
  }
  return attempt;
}

}  // namespace lanthorn
