#include "engine/run/process/process_identity.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "engine/base/files/files.h"

namespace lanthorn {
namespace {

using nlohmann::json;

std::string Text(const json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}

// When a process began, in clock ticks since the boot: the same number never comes twice with the same pid.
std::string StartOf(int64_t pid) {
  const auto text = ReadFile(absl::StrCat("/proc/", pid, "/stat"));
  if (!text.ok()) return "";
  // The 22nd field; the second is a name in parentheses that may hold anything.
  size_t at = text->rfind(')');
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = text->find(' ', at + 1);
  return at == std::string::npos ? "" : text->substr(at + 1, text->find(' ', at + 1) - at - 1);
}

}  // namespace

std::string HostName() {
  char name[256] = "";
  return gethostname(name, sizeof name - 1) == 0 ? name : "unknown";
}

std::string BootId() {
  const auto text = ReadFile("/proc/sys/kernel/random/boot_id");
  return text.ok() ? text->substr(0, text->find('\n')) : "unknown";
}

json ThisProcess() {
  return {{"pid", getpid()}, {"host", HostName()}, {"boot_id", BootId()}, {"process_start", StartOf(getpid())}};
}

bool IsAlive(const json& process) {
  const auto pid = process.find("pid");
  if (pid == process.end() || !pid->is_number_integer()) return false;
  const std::string start = StartOf(pid->get<int64_t>());
  return !start.empty() && Text(process, "host") == HostName() && Text(process, "boot_id") == BootId() &&
         Text(process, "process_start") == start;
}

}  // namespace lanthorn
