#include "engine/run/metrics/tensorboard_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <boost/crc.hpp>
#include <cerrno>
#include <chrono>
#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"
#include "engine/run/metrics/event_file.pb.h"
#include "engine/run/process/process_identity.h"

namespace lanthorn {
namespace {

using event_file::Event;
using event_file::SessionLog;
using nlohmann::json;

constexpr char kFileVersion[] = "brain.Event:2";

// Appends an unsigned integer, little-endian.
template <typename T>
void AppendInteger(T value, std::string* bytes) {
  for (size_t i = 0; i < sizeof value; ++i) bytes->push_back(static_cast<char>(value >> (8 * i) & 0xff));
}

std::string TextOf(const json& line, const char* key) {
  const auto it = line.find(key);
  return it != line.end() && it->is_string() ? it->get<std::string>() : "";
}

// What the tags of the line begin with; empty for a line without scalars.
std::string PrefixOf(const json& line) {
  const std::string kind = TextOf(line, "kind"), event = TextOf(line, "event"), split = TextOf(line, "split");
  if (kind == "event") return event == "epoch" || event == "tscore_probe" ? event : "";
  return split.empty() ? kind : absl::StrCat(kind, "/", split);
}

void AddScalars(const json& object, const std::string& prefix, event_file::Summary* summary) {
  for (const auto& [name, value] : object.items()) {
    const std::string tag = prefix.empty() ? name : absl::StrCat(prefix, "/", name);
    if (value.is_number()) {
      event_file::Summary::Value* scalar = summary->add_value();
      scalar->set_tag(tag);
      scalar->set_simple_value(static_cast<float>(value.get<double>()));
    } else if (value.is_object()) {
      AddScalars(value, tag, summary);
    }
  }
}

event_file::Summary SummaryOf(const json& line, const std::string& prefix) {
  event_file::Summary summary;
  json own = json::object();
  for (const auto& [name, value] : line.items()) {
    if (name == "t" || name == "step" || name == "nonfinite") continue;
    if (value.is_object())
      AddScalars(value, name, &summary);
    else
      own[name] = value;
  }
  AddScalars(own, prefix, &summary);
  return summary;
}

}  // namespace

uint32_t Crc32c(std::string_view bytes) {
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, /*ReflectIn=*/true, /*ReflectRem=*/true> crc;
  crc.process_bytes(bytes.data(), bytes.size());
  return crc.checksum();
}

uint32_t MaskedCrc32c(std::string_view bytes) {
  const uint32_t crc = Crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

std::string EventFileName(int64_t unix_s, const std::string& host, int64_t pid, int64_t attempt) {
  return absl::StrFormat("events.out.tfevents.%010d.%s.%d.%d", unix_s, host, pid, attempt);
}

absl::StatusOr<std::unique_ptr<TensorBoardWriter>> TensorBoardWriter::Create(const std::string& path,
                                                                             double wall_time) {
  FileDescriptor fd(open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!fd.valid()) return MachineError(ErrnoMessage(path, "cannot make the event file", errno));
  std::unique_ptr<TensorBoardWriter> writer(new TensorBoardWriter(path, std::move(fd)));
  Event first;
  first.set_wall_time(wall_time);
  first.set_file_version(kFileVersion);
  LANTHORN_RETURN_IF_ERROR(writer->Append(first.SerializeAsString()));
  return writer;
}

absl::Status TensorBoardWriter::Write(const json& line) {
  const auto step = line.find("step"), time = line.find("t");
  if (step == line.end() || !step->is_number() || time == line.end() || !time->is_number()) return absl::OkStatus();
  Event event;
  event.set_wall_time(time->get<double>());
  event.set_step(step->get<int64_t>());
  if (const std::string name = TextOf(line, "event"); name == "resume" || name == "rollback") {
    event.set_step(event.step() + 1);
    event.mutable_session_log()->set_status(SessionLog::START);
    return Append(event.SerializeAsString());
  }
  const std::string prefix = PrefixOf(line);
  if (prefix.empty()) return absl::OkStatus();
  *event.mutable_summary() = SummaryOf(line, prefix);
  return event.summary().value_size() > 0 ? Append(event.SerializeAsString()) : absl::OkStatus();
}

absl::Status TensorBoardWriter::Append(const std::string& event) {
  std::string record;
  AppendInteger<uint64_t>(event.size(), &record);
  AppendInteger(MaskedCrc32c(record), &record);
  record += event;
  AppendInteger(MaskedCrc32c(event), &record);
  ssize_t put;
  do {
    put = write(fd_.get(), record.data(), record.size());
  } while (put < 0 && errno == EINTR);
  if (put == static_cast<ssize_t>(record.size())) return absl::OkStatus();
  return MachineError(ErrnoMessage(path_, "cannot write a whole record", put < 0 ? errno : ENOSPC));
}

absl::StatusOr<std::string> AttachTensorBoard(RunDirectory* run) {
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  const std::string name = EventFileName(static_cast<int64_t>(now.count()), HostName(), getpid(), run->attempt());
  LANTHORN_ASSIGN_OR_RETURN(std::shared_ptr<TensorBoardWriter> writer,
                            TensorBoardWriter::Create(run->path() + "/" + name, now.count()));
  LANTHORN_RETURN_IF_ERROR(run->AddMetricsSink(writer));
  return writer->path();
}

}  // namespace lanthorn
