#include "engine/run/process/lease.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/files/files.h"
#include "engine/base/files/syscalls.h"
#include "engine/base/quiet_thread.h"
#include "engine/run/json_text.h"
#include "engine/run/process/process_identity.h"

namespace lanthorn {
namespace {

using nlohmann::json;

constexpr char kPrefix[] = "claim-";

// The highest number of a claim; 0 when there is none.
int NewestNumber(const std::string& folder) {
  DIR* entries = opendir(folder.c_str());
  if (entries == nullptr) return 0;
  int newest = 0;
  while (const dirent* entry = readdir(entries)) {
    absl::string_view name = entry->d_name;
    int number = 0;
    if (absl::ConsumePrefix(&name, kPrefix) && absl::SimpleAtoi(name, &number) && number > newest) newest = number;
  }
  closedir(entries);
  return newest;
}

// The job of a scheduler that this process alone is, as the launcher says; empty outside of one. A job that is started
// again keeps its id.
std::string OwnJob() {
  const char* job = std::getenv("RUNNER_JOB");
  return job == nullptr ? "" : job;
}

std::string LeaseText(std::chrono::seconds lost) {
  json lease = ThisProcess();
  if (const std::string job = OwnJob(); !job.empty()) lease["job"] = job;
  lease["expires"] = UnixNow() + static_cast<double>(lost.count());
  return JsonText(lease, 1) + "\n";
}

absl::Status WriteFailure(const std::string& path, const char* what) {
  return MachineError(ErrnoMessage(path, what, errno));
}

}  // namespace

std::string ClaimFolder(const std::string& folder, int number) { return absl::StrCat(folder, "/", kPrefix, number); }

Claim ReadClaim(const std::string& folder, bool brief) {
  Claim claim;
  claim.number = NewestNumber(folder);
  if (claim.number == 0) return claim;
  const std::string path = ClaimFolder(folder, claim.number);
  if (brief) {
    if (const auto text = ReadFile(path + "/exit.json"); text.ok() && !text->empty()) {
      claim.exit = *text;
      return claim;
    }
  }
  if (const auto text = ReadFile(path + "/lease.json"); text.ok()) {
    const json lease = json::parse(*text, nullptr, /*allow_exceptions=*/false);
    if (lease.is_object()) {
      claim.pid = lease.value("pid", int64_t{0});
      claim.host = lease.value("host", "");
      // Two processes of one job are one after the other.
      const bool is_before = !OwnJob().empty() && lease.value("job", "") == OwnJob() && claim.pid != getpid();
      claim.alive = !is_before && (claim.host == HostName() ? IsAlive(lease) : lease.value("expires", 0.0) > UnixNow());
    }
  }
  // Read last: a process writes it before it ends, so one that is gone by now has written it or never will.
  if (const auto text = ReadFile(path + "/exit.json"); text.ok()) claim.exit = *text;
  if (!claim.exit.empty()) claim.alive = false;
  return claim;
}

absl::StatusOr<std::unique_ptr<Lease>> Lease::Take(const std::string& folder, int number,
                                                   std::chrono::milliseconds renewal) {
  const std::string claim = ClaimFolder(folder, number);
  const std::string made = absl::StrCat(claim, ".tmp-", HostName(), "-", getpid());
  if (sys::Mkdir(made) != 0 && errno != EEXIST) return WriteFailure(made, "cannot make folder");
  LANTHORN_RETURN_IF_ERROR(WriteFileAtomic(made + "/lease.json", LeaseText(kLost)));
  if (sys::Rename(made, claim) != 0) {  // a folder that is not empty is never replaced
    const int error = errno;
    unlink((made + "/lease.json").c_str());
    rmdir(made.c_str());
    if (error == EEXIST || error == ENOTEMPTY) return nullptr;
    errno = error;
    return WriteFailure(claim, "cannot rename");
  }
  LANTHORN_RETURN_IF_ERROR(SyncFolder(folder));
  std::unique_ptr<Lease> lease(new Lease(claim));
  lease->thread_ = StartQuietThread([lease = lease.get(), renewal] { lease->Renew(renewal); });
  return lease;
}

Lease::~Lease() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Lease::Renew(std::chrono::milliseconds renewal) {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, renewal, [this] { return stopping_; })) {
    lock.unlock();
    // A disk that refuses now may take the next one; until then the lease runs on.
    (void)WriteFileAtomic(claim_ + "/lease.json", LeaseText(kLost), /*sync=*/false);
    lock.lock();
  }
}

absl::Status Lease::End(const std::string& exit_json) { return WriteFileAtomic(claim_ + "/exit.json", exit_json); }

}  // namespace lanthorn
