// How many threads are worth starting: hyper-threads of one core share its vector units, and a container's quota is not
// visible in the affinity mask.
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <string>

#include "bindings/runner/host.h"

namespace lanthorn::runner {
namespace {

void CountAffinityMask(CpuBudget* budget) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) {
    budget->cpus = budget->cores = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
    return;
  }
  budget->cpus = CPU_COUNT(&mask);
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &mask)) continue;
    std::ifstream in("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
    std::string siblings;
    if (!std::getline(in, siblings)) siblings = std::to_string(cpu);  // no topology: each CPU is a core
    cores.insert(siblings);
  }
  budget->cores = std::max(1, static_cast<int>(cores.size()));
}

// The quota in a cgroup v2 folder as whole CPUs (at least 1), or 0 for no quota.
int QuotaOfFolder(const std::string& folder) {
  std::ifstream in(folder + "/cpu.max");
  std::string quota;
  double period = 0;
  if (!(in >> quota >> period) || quota == "max" || period <= 0) return 0;
  return std::max(1, static_cast<int>(std::stod(quota) / period));
}

int QuotaOfCgroup() {
  int quota = 0;
  const auto tighten = [&quota](int q) { quota = q > 0 && (quota == 0 || q < quota) ? q : quota; };
  std::ifstream in("/proc/self/cgroup");
  std::string line;
  while (std::getline(in, line)) {
    if (!line.starts_with("0::")) continue;
    for (std::string path = line.substr(3); !path.empty(); path.resize(path.rfind('/'))) {
      tighten(QuotaOfFolder("/sys/fs/cgroup" + path));
      if (path.rfind('/') == std::string::npos) break;
    }
  }
  tighten(QuotaOfFolder("/sys/fs/cgroup"));
  double quota_us = 0;
  double period_us = 0;
  if (std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") >> quota_us && quota_us > 0 &&
      std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_period_us") >> period_us && period_us > 0) {
    tighten(std::max(1, static_cast<int>(quota_us / period_us)));
  }
  return quota;
}

}  // namespace

CpuBudget ReadCpuBudget() {
  CpuBudget budget;
  CountAffinityMask(&budget);
  budget.quota = QuotaOfCgroup();
  return budget;
}

int UsableCores() {
  const CpuBudget budget = ReadCpuBudget();
  return budget.quota > 0 ? std::min(budget.cores, budget.quota) : budget.cores;
}

}  // namespace lanthorn::runner
