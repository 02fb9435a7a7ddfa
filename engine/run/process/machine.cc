#include "engine/run/process/machine.h"

#include <ATen/Parallel.h>
#include <sched.h>
#include <sys/utsname.h>
#include <torch/version.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "absl/base/config.h"
#include "engine/base/blas.h"
#include "engine/base/files/files.h"
#include "engine/run/process/process_identity.h"

namespace lanthorn {
namespace {

using nlohmann::json;

struct Cpu {
  std::string model = "unknown";
  json flags = json::array();
  int cores = 0;
};

// Reads /proc/cpuinfo: "key <tabs>: value" lines, one block per logical CPU.
Cpu ReadCpu() {
  Cpu cpu;
  const auto text = ReadFile("/proc/cpuinfo");
  if (!text.ok()) return cpu;
  std::set<std::pair<std::string, std::string>> cores;  // (socket, core)
  std::string socket, line;
  std::istringstream lines(*text);
  while (std::getline(lines, line)) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string key = line.substr(0, line.find_last_not_of(" \t", colon - 1) + 1);
    const std::string value = colon + 2 < line.size() ? line.substr(colon + 2) : "";
    if (key == "model name") cpu.model = value;
    if (key == "physical id") socket = value;
    if (key == "core id") cores.emplace(socket, value);
    if (key == "flags" && cpu.flags.empty()) {
      const std::string padded = " " + value + " ";
      for (const std::string flag : {"avx2", "avx512f", "avx512_bf16", "amx_bf16"}) {
        if (padded.find(" " + flag + " ") != std::string::npos) cpu.flags.push_back(flag);
      }
    }
  }
  cpu.cores = static_cast<int>(cores.size());
  return cpu;
}

int UsableCpus() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
}

std::string Kernel() {
  utsname name;
  return uname(&name) == 0 ? absl::StrCat(name.sysname, " ", name.release, " ", name.machine) : "unknown";
}

std::string AbseilVersion() {
#ifdef ABSL_LTS_RELEASE_VERSION
  return std::to_string(ABSL_LTS_RELEASE_VERSION);
#else
  return "unknown";
#endif
}

}  // namespace

json MachineFingerprint() {
  Cpu cpu = ReadCpu();
  double load = 0;
  getloadavg(&load, 1);
  const int64_t memory = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  return {{"cpu", cpu.model},
          {"flags", cpu.flags},
          {"cores", cpu.cores},
          {"cpus", UsableCpus()},
          {"threads", at::get_num_threads()},
          {"memory_bytes", memory},
          {"kernel", Kernel()},
          {"load_average", load},
          {"host", HostName()},
          {"boot_id", BootId()},
          {"blas", BlasConfig()},
          {"blas_threading", BlasThreading()}};
}

json LibraryVersions() {
  return {{"lanthorn", LANTHORN_VERSION},
          {"libtorch", TORCH_VERSION},
          {"abseil", AbseilVersion()},
          {"blas", BlasConfig()},
          {"compiler", __VERSION__}};
}

}  // namespace lanthorn
