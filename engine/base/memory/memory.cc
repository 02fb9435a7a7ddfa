// Layout of a block: one 64-byte header (what was asked for and, of a large block, its capacity), then the data, which
// stays 64-byte aligned.
#include "engine/base/memory/memory.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <limits>

#include "absl/strings/str_format.h"
#include "engine/base/memory/block_cache.h"

namespace lanthorn::memory {
namespace {

constexpr size_t kHeader = 64;
// The address sanitizer does not see into blocks that are kept.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kKeepBlocks = false;
#else
constexpr bool kKeepBlocks = true;
#endif
std::atomic<int64_t> bytes_in_use{0};
std::atomic<int64_t> bytes_peak{0};
std::atomic<int64_t> bytes_peak_since_mark{0};
std::atomic<int64_t> allocations{0};
std::atomic<int64_t> large_allocations{0};
std::atomic<int64_t> bytes_limit{std::numeric_limits<int64_t>::max()};

struct Header {
  int64_t size;
  size_t capacity;  // of a block of the cache, else 0
};

// Never destroyed: tensors may be freed after static objects are.
BlockCache& Cache() {
  static BlockCache* cache = new BlockCache;
  return *cache;
}

void Free(void* data) {
  if (data == nullptr) return;
  void* block = static_cast<char*>(data) - kHeader;
  Header header;
  std::memcpy(&header, block, sizeof(header));
  const int64_t in_use = bytes_in_use.fetch_sub(header.size, std::memory_order_relaxed) - header.size;
  if (header.capacity == 0) return c10::free_cpu(block);
  // Blocks are kept by size, so a step's tensors that follow each other in the same memory of an ordinary heap lie
  // beside each other here: what is kept and in use may come to twice what was ever in use, within the cap.
  const int64_t most = std::min(2 * bytes_peak.load(std::memory_order_relaxed), bytes_limit.load());
  const int64_t room = most - in_use;
  Cache().Give(block, header.capacity, static_cast<size_t>(std::max<int64_t>(room, 0)));
}

void Raise(std::atomic<int64_t>& peak, int64_t bytes) {
  int64_t before = peak.load(std::memory_order_relaxed);
  while (bytes > before && !peak.compare_exchange_weak(before, bytes, std::memory_order_relaxed)) {
  }
}

// Takes a count back unless it is kept: LibTorch throws when the system has no memory.
class Reservation {
 public:
  explicit Reservation(int64_t bytes) : bytes_(bytes) {}
  ~Reservation() { bytes_in_use.fetch_sub(bytes_, std::memory_order_relaxed); }
  void Keep() { bytes_ = 0; }

 private:
  int64_t bytes_;
};

class CountingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t size) const override {
    if (size == 0) return {nullptr, nullptr, &Free, c10::Device(c10::DeviceType::CPU)};
    const int64_t wanted = static_cast<int64_t>(size);
    const int64_t now = bytes_in_use.fetch_add(wanted, std::memory_order_relaxed) + wanted;
    Reservation reservation(wanted);
    const int64_t limit = bytes_limit.load(std::memory_order_relaxed);
    if (now > limit || wanted < 0) {
      throw OutOfMemory(
          absl::StrFormat("out of memory: need %s, %s of %s in use", FormatBytes(static_cast<double>(size)),
                          FormatBytes(static_cast<double>(now - wanted)), FormatBytes(static_cast<double>(limit))));
    }
    if (now > limit - Cache().kept_bytes()) Cache().Release();
    Header header = {wanted, 0};
    void* block = nullptr;
    if (kKeepBlocks && size + kHeader >= BlockCache::kLeast) {
      block = Cache().Take(size + kHeader, &header.capacity);
      if (block == nullptr) {  // the system has no more: what is kept may do
        Cache().Release();
        block = Cache().Take(size + kHeader, &header.capacity);
      }
    }
    if (block == nullptr) {
      header.capacity = 0;
      block = c10::alloc_cpu(size + kHeader);
    }
    std::memcpy(block, &header, sizeof(header));
    reservation.Keep();
    allocations.fetch_add(1, std::memory_order_relaxed);
    if (wanted >= kLargeBytes) large_allocations.fetch_add(1, std::memory_order_relaxed);
    Raise(bytes_peak, now);
    Raise(bytes_peak_since_mark, now);
    void* data = static_cast<char*>(block) + kHeader;
    return {data, data, &Free, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &Free; }
};

int64_t ReadNumber(const char* path) {
  std::ifstream file(path);
  int64_t value = 0;
  return file >> value ? value : 0;
}

}  // namespace

void Install() {
  static CountingAllocator allocator;
  static const bool installed = [] {
    c10::SetCPUAllocator(&allocator, /*priority=*/1);
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
    bytes_limit = MachineBytes() / 10 * 9;
    return true;
  }();
  (void)installed;
}

bool KeepsBlocks() { return kKeepBlocks; }

int64_t FreshBlocks() { return Cache().fresh_blocks(); }
int64_t TensorBytes() { return bytes_in_use; }
int64_t TensorPeakBytes() { return bytes_peak; }
void MarkTensorPeak() { bytes_peak_since_mark = bytes_in_use.load(); }
int64_t TensorPeakSinceMark() { return bytes_peak_since_mark; }
int64_t Allocations() { return allocations; }
int64_t LargeAllocations() { return large_allocations; }
int64_t Limit() { return bytes_limit; }
void SetLimit(int64_t bytes) { bytes_limit = bytes; }

int64_t ParseBytes(const std::string& text) {
  static const std::pair<const char*, double> kUnits[] = {
      {"", 1},     {"B", 1},    {"KiB", 1024}, {"MiB", 1048576.0}, {"GiB", 1073741824.0}, {"TiB", 1099511627776.0},
      {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9},   {"TB", 1e12}};
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  if (end == text.c_str() || !(number > 0)) return 0;
  const std::string unit(end);
  for (const auto& [name, factor] : kUnits) {
    if (unit == name) return static_cast<int64_t>(number * factor);
  }
  return 0;
}

std::string FormatBytes(double bytes) {
  const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  int unit = 0;
  while (bytes >= 1024 && unit < 6) bytes /= 1024, ++unit;
  return absl::StrFormat(unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
}

int64_t MachineBytes() {
  const int64_t physical = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  const int64_t group = ReadNumber("/sys/fs/cgroup/memory.max");  // 0 when it reads "max" or is absent
  return group > 0 ? std::min(physical, group) : physical;
}

int64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  int64_t total = 0, resident = 0;
  return file >> total >> resident ? resident * sysconf(_SC_PAGESIZE) : -1;
}

int64_t ResidentPeakBytes() {
  rusage usage{};
  return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss * 1024 : -1;
}

}  // namespace lanthorn::memory
