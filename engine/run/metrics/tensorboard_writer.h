// TensorBoard event files: metrics lines as scalars. A file is a sequence of records, each
//   u64 length | u32 masked CRC-32C of those 8 bytes | data | u32 masked CRC-32C of the data     (little-endian)
// where data is an Event of event_file.proto. The first event names the version, "brain.Event:2".
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine/base/files/files.h"
#include "engine/run/metrics/metrics_sink.h"
#include "engine/run/run_directory.h"

namespace lanthorn {

// The Castagnoli polynomial, as in RFC 3720; zlib's crc32 is another one.
uint32_t Crc32c(std::string_view bytes);
// ((c >> 15) | (c << 17)) + 0xa282ead8 modulo 2^32, so that the CRC of data with CRCs inside stays meaningful.
uint32_t MaskedCrc32c(std::string_view bytes);

// "events.out.tfevents.<unix_s, 10 digits>.<host>.<pid>.<attempt>".
std::string EventFileName(int64_t unix_s, const std::string& host, int64_t pid, int64_t attempt);

// Each record is written whole, by one write(2).
class TensorBoardWriter final : public MetricsSink {
 public:
  // Makes a new file and writes its first event with this wall time in unix seconds. MachineError when the file exists
  // or cannot be written.
  static absl::StatusOr<std::unique_ptr<TensorBoardWriter>> Create(const std::string& path, double wall_time);

  // Numbers of a line become scalars at the line's step and time:
  //   "train" lines   train/<name>           "epoch" events         epoch/<name>
  //   "eval" lines    eval/<split>/<name>    "tscore_probe" events  tscore_probe/<name>
  // and nested ones of any of them their path alone: phase_ms/forward. Lines of other kinds take the kind as their
  // prefix. NaN is written as NaN; null, text, booleans and lists are left out. A "resume" event at step k becomes
  // SessionLog START at step k + 1, the first of the attempt: viewers drop what they have from that step on. Other
  // events are left out.
  absl::Status Write(const nlohmann::json& line) override;

  const std::string& path() const { return path_; }

 private:
  TensorBoardWriter(std::string path, FileDescriptor fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  absl::Status Append(const std::string& event);

  const std::string path_;
  FileDescriptor fd_;
};

// Makes an event file for this attempt in the run's folder, which gets the lines of metrics.jsonl from now on. Returns
// its path.
absl::StatusOr<std::string> AttachTensorBoard(RunDirectory* run);

}  // namespace lanthorn
