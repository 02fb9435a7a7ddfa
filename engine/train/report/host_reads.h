// How often an update reads tensor values: on an accelerator each such read waits for the device (host_syncs_per_step).
// Counted over a few updates only, since a count costs a call for every operator.
#pragma once

#include <cstdint>
#include <optional>

namespace lanthorn::train {

struct HostReads {
  int64_t values = 0;  // reads of a tensor's value (item() and what calls it)
  int64_t syncs = 0;   // reads and copies whose tensor is not in the host's memory: the host waits

  HostReads operator-(const HostReads& other) const { return {values - other.values, syncs - other.syncs}; }
  HostReads& operator+=(const HostReads& other) {
    values += other.values;
    syncs += other.syncs;
    return *this;
  }
};

// Counts what all threads read in its life; one at a time.
class HostReadScope {
 public:
  explicit HostReadScope(bool active);
  ~HostReadScope();
  HostReadScope(const HostReadScope&) = delete;
  HostReadScope& operator=(const HostReadScope&) = delete;

  bool active() const { return handle_.has_value(); }
  // So far.
  HostReads Count() const;

 private:
  std::optional<uint64_t> handle_;
};

// The mean over some updates of a process, past those in which guards look closer and before the next log point.
class HostReadMeans {
 public:
  static constexpr int64_t kFirst = 31, kLast = 33;

  // Whether update number `own_step` (1-based) of this process is one of them.
  static bool Wants(int64_t own_step) { return own_step >= kFirst && own_step <= kLast; }
  // What a whole update read, and of that the optimiser with its selection.
  void Add(const HostReads& update, const HostReads& optimizer);

  int64_t updates() const { return updates_; }
  // Per update; undefined before the first.
  double values() const { return Mean(update_.values); }
  double syncs() const { return Mean(update_.syncs); }
  double optimizer_values() const { return Mean(optimizer_.values); }

 private:
  double Mean(int64_t sum) const { return static_cast<double>(sum) / static_cast<double>(updates_); }

  int64_t updates_ = 0;
  HostReads update_, optimizer_;
};

}  // namespace lanthorn::train
