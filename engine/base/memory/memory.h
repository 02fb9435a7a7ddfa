// Bytes of tensor memory on the CPU, counted, with a cap.
//
// A tensor is a few bytes of userdata to the Lua collector, so the storage behind it is counted here: a c10 allocator
// in front of LibTorch's own adds up what is alive, keeps the peak, and refuses what would go over the cap with
// "out of memory: need 1.2 GiB, 7.1 of 8.0 GiB in use". It never calls Lua. Thread-safe.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace lanthorn::memory {

// Thrown by the allocator when the cap would be passed; the Lua boundary collects garbage and repeats the call once.
class OutOfMemory : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Puts the counting allocator in place; later calls do nothing. Also tells malloc to keep large freed blocks, since a
// training step frees and takes the same sizes again and page faults would cost more than the work on small tensors.
void Install();

bool KeepsBlocks();             // whether freed large blocks are kept; not under the address sanitizer
int64_t FreshBlocks();          // large blocks asked of the system so far; a steady training step asks for none
int64_t TensorBytes();          // storage bytes alive now
int64_t TensorPeakBytes();      // the most there ever was
void MarkTensorPeak();          // begins a second peak, at what is alive now
int64_t TensorPeakSinceMark();  // the most since then
int64_t Allocations();          // how many there were
inline constexpr int64_t kLargeBytes = 1 << 20;
int64_t LargeAllocations();  // those of at least kLargeBytes
int64_t Limit();             // cap in bytes
void SetLimit(int64_t bytes);
// Reads "4GiB", "512MiB", "2GB" or a number of bytes; 0 when the text is none of these.
int64_t ParseBytes(const std::string& text);
std::string FormatBytes(double bytes);  // "1.2 GiB"

int64_t MachineBytes();       // memory of this machine or of its cgroup, whichever is smaller
int64_t ResidentBytes();      // resident set of this process; -1 if unknown
int64_t ResidentPeakBytes();  // its peak; -1 if unknown

}  // namespace lanthorn::memory
