#include "engine/run/metrics/metrics_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cmath>

#include "engine/run/json_text.h"

namespace lanthorn {
namespace {

using nlohmann::json;

double UnixSeconds() {
  using std::chrono::milliseconds;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<double>(std::chrono::duration_cast<milliseconds>(now).count()) / 1000;
}

const char* NonFiniteName(double value) { return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf"; }

// Turns numbers that are not finite into null and notes them in `found` under their path.
void ReplaceNonFinite(json& value, const std::string& path, json& found) {
  if (value.is_number_float() && !std::isfinite(value.get<double>())) {
    found[path] = NonFiniteName(value.get<double>());
    value = nullptr;
  } else if (value.is_object()) {
    for (auto& [key, inner] : value.items()) ReplaceNonFinite(inner, path.empty() ? key : path + "." + key, found);
  } else if (value.is_array()) {
    for (size_t i = 0; i < value.size(); ++i) ReplaceNonFinite(value[i], path + "." + std::to_string(i + 1), found);
  }
}

// Cuts the file after its last newline.
absl::Status CutTornLine(const std::string& path, int fd) {
  struct stat info;
  if (fstat(fd, &info) != 0) return MachineError(ErrnoMessage(path, "cannot read", errno));
  off_t end = info.st_size;
  char piece[4096];
  while (end > 0) {
    const off_t begin = std::max<off_t>(0, end - static_cast<off_t>(sizeof piece));
    const ssize_t got = pread(fd, piece, static_cast<size_t>(end - begin), begin);
    if (got != end - begin) return MachineError(ErrnoMessage(path, "cannot read", errno));
    while (end > begin && piece[end - begin - 1] != '\n') --end;
    if (end > begin) break;
  }
  if (end == info.st_size) return absl::OkStatus();
  if (ftruncate(fd, end) != 0) return MachineError(ErrnoMessage(path, "cannot cut the torn last line", errno));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsWriter>> MetricsWriter::Open(const std::string& path) {
  FileDescriptor fd(open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666));
  if (!fd.valid()) return MachineError(ErrnoMessage(path, "cannot write", errno));
  LANTHORN_RETURN_IF_ERROR(CutTornLine(path, fd.get()));
  return std::unique_ptr<MetricsWriter>(new MetricsWriter(path, std::move(fd)));
}

absl::Status MetricsWriter::Append(json object) {
  if (!object.is_object())
    return Error(ExitCode::kScript, absl::StrCat("'", path_, "': a metrics line must be an object"));
  object["t"] = UnixSeconds();
  json written = object;
  json nonfinite = json::object();
  ReplaceNonFinite(written, "", nonfinite);
  if (!nonfinite.empty()) written["nonfinite"] = std::move(nonfinite);

  const std::lock_guard lock(mutex_);
  LANTHORN_RETURN_IF_ERROR(WriteLine(JsonText(written) + "\n"));
  for (const auto& sink : sinks_) LANTHORN_RETURN_IF_ERROR(sink->Write(object));
  if (object.value("event", json()) == "resume") resume_ = std::move(object);
  return absl::OkStatus();
}

absl::Status MetricsWriter::AddSink(std::shared_ptr<MetricsSink> sink) {
  const std::lock_guard lock(mutex_);
  if (resume_) LANTHORN_RETURN_IF_ERROR(sink->Write(*resume_));
  sinks_.push_back(std::move(sink));
  return absl::OkStatus();
}

absl::Status MetricsWriter::WriteLine(const std::string& line) {
  ssize_t put;
  do {
    put = write(fd_.get(), line.data(), line.size());
  } while (put < 0 && errno == EINTR);
  if (put < 0) return MachineError(ErrnoMessage(path_, "cannot write", errno));
  if (put == static_cast<ssize_t>(line.size())) return absl::OkStatus();
  // The disk became full within the line. What is written of it would spoil the next one.
  LANTHORN_RETURN_IF_ERROR(CutTornLine(path_, fd_.get()));
  return MachineError(ErrnoMessage(path_, "cannot write a whole line", ENOSPC));
}

}  // namespace lanthorn
