#include "engine/run/status_file.h"

#include "engine/base/files/files.h"
#include "engine/run/json_text.h"

namespace lanthorn {

using nlohmann::json;

StatusFile::StatusFile(std::string path, json fields, std::chrono::milliseconds period)
    : path_(std::move(path)), period_(period), fields_(std::move(fields)) {}

absl::StatusOr<std::unique_ptr<StatusFile>> StatusFile::Start(const std::string& path, json fields,
                                                              std::chrono::milliseconds period) {
  std::unique_ptr<StatusFile> file(new StatusFile(path, std::move(fields), period));
  LANTHORN_RETURN_IF_ERROR(file->Write());
  file->thread_ = std::thread([raw = file.get()] { raw->Beat(); });
  return file;
}

StatusFile::~StatusFile() { EndThread(); }

absl::Status StatusFile::Update(const json& fields) {
  bool changed = false;
  absl::Status earlier;
  {
    const std::lock_guard lock(mutex_);
    for (const char* key : {"state", "phase"}) {
      const auto it = fields.find(key);
      changed |= it != fields.end() && fields_[key] != *it;
    }
    fields_.update(fields);
    std::swap(earlier, thread_error_);
  }
  if (changed) LANTHORN_RETURN_IF_ERROR(Write());
  return earlier;
}

absl::Status StatusFile::Stop(const json& fields) {
  EndThread();
  {
    const std::lock_guard lock(mutex_);
    fields_.update(fields);
  }
  return Write();
}

json StatusFile::Get(const std::string& field) const {
  const std::lock_guard lock(mutex_);
  return fields_.value(field, json());
}

void StatusFile::EndThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void StatusFile::Beat() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, period_, [this] { return stopping_; })) {
    lock.unlock();
    absl::Status status;
    // A thread begins here: what it throws would end the process.
    try {
      status = Write();
    } catch (const std::exception& error) {
      status = MachineError(absl::StrCat("'", path_, "': heartbeat failed: ", error.what()));
    }
    lock.lock();
    if (!status.ok()) thread_error_ = status;
  }
}

absl::Status StatusFile::Write() {
  // The fields are copied under the write lock: an older copy can never replace a newer one.
  const std::lock_guard writing(write_mutex_);
  json fields;
  {
    const std::lock_guard lock(mutex_);
    fields = fields_;
  }
  fields["heartbeat"] = UtcNow();
  return WriteFileAtomic(path_, JsonText(fields, 1) + "\n", /*sync=*/false);
}

}  // namespace lanthorn
