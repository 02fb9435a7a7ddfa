#include "engine/run/process/claim.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <random>
#include <system_error>

#include "engine/base/files/files.h"

namespace lanthorn {
namespace {

constexpr size_t kLongestName = 64;
constexpr int kMostDraws = 1000;
constexpr char kRunIdPattern[] = "dddddddd-dddddd-xxxxxx";  // d a decimal digit, x a hex digit

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLower(char c) { return c >= 'a' && c <= 'z'; }

// The largest run id in the folder; empty when there is none.
std::string NewestRun(const std::string& folder, std::error_code& error) {
  std::string newest;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (IsRunId(name)) newest = std::max(newest, name);
  }
  return newest;
}

}  // namespace

absl::Status CheckExperimentName(const std::string& name) {
  const auto fail = [&](const char* why) {
    return ConfigError(absl::StrCat("experiment '", name, "': ", why, "; rename the script or choose another name"));
  };
  const bool first_fits = !name.empty() && (IsLower(name[0]) || IsDigit(name[0]));
  const bool rest_fits =
      std::all_of(name.begin(), name.end(), [](char c) { return IsLower(c) || IsDigit(c) || c == '_' || c == '-'; });
  if (!first_fits || !rest_fits) return fail("names use a-z, 0-9, '_' and '-' and begin with a letter or digit");
  if (name.size() > kLongestName) return fail("names have at most 64 characters");
  if (name == "latest") return fail("'latest' is reserved for the link to the newest run");
  if (name.rfind("sweep-", 0) == 0) return fail("the prefix 'sweep-' is reserved for sweeps");
  return absl::OkStatus();
}

bool IsRunId(const std::string& name) {
  const std::string pattern = kRunIdPattern;
  return name.size() == pattern.size() && std::equal(name.begin(), name.end(), pattern.begin(), [](char c, char p) {
           return p == '-' ? c == '-' : IsDigit(c) || (p == 'x' && c >= 'a' && c <= 'f');
         });
}

std::string DrawHex() {
  std::random_device random;
  char text[8];
  std::snprintf(text, sizeof text, "%06x", random() & 0xffffffu);
  return text;
}

absl::StatusOr<std::string> ClaimRunId(const std::string& folder, const std::string& stamp,
                                       const std::function<std::string()>& draw) {
  for (int i = 0; i < kMostDraws; ++i) {
    const std::string id = stamp + "-" + draw();
    if (mkdir((folder + "/" + id).c_str(), 0777) == 0) return id;
    if (errno != EEXIST) return MachineError(ErrnoMessage(folder, "cannot make a run folder", errno));
  }
  return MachineError(absl::StrCat("'", folder, "': no free run id for ", stamp, " after ", kMostDraws, " draws"));
}

absl::Status UpdateLatest(const std::string& folder) {
  const std::string link = folder + "/latest";
  const std::string temporary = absl::StrCat(folder, "/.latest.", getpid(), ".", DrawHex());
  std::error_code error;
  // Looked at again after each replacement: another run may have put an older id there meanwhile. Whoever replaces the
  // link last also looks last, so the newest id stays.
  for (;;) {
    const std::string newest = NewestRun(folder, error);
    if (error) return MachineError(ErrnoMessage(folder, "cannot list runs", error.value()));
    if (newest.empty()) return absl::OkStatus();
    std::error_code missing;
    if (std::filesystem::read_symlink(link, missing) == newest) return absl::OkStatus();
    if (symlink(newest.c_str(), temporary.c_str()) != 0) return MachineError(ErrnoMessage(link, "cannot link", errno));
    if (rename(temporary.c_str(), link.c_str()) != 0) {
      const int reason = errno;
      unlink(temporary.c_str());
      return MachineError(ErrnoMessage(link, "cannot replace", reason));
    }
  }
}

}  // namespace lanthorn
