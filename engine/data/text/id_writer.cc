#include "engine/data/text/id_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "engine/base/files/syscalls.h"

namespace lanthorn::data {
namespace {

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

template <typename Number>
void Narrow(const std::vector<uint32_t>& ids, std::vector<char>* to) {
  to->resize(ids.size() * sizeof(Number));
  Number* const out = reinterpret_cast<Number*>(to->data());
  for (size_t i = 0; i < ids.size(); ++i) out[i] = static_cast<Number>(ids[i]);
}

}  // namespace

absl::StatusOr<IdWriter::Draft> IdWriter::MakeDraft(const std::string& path) {
  if (path.empty()) {
    FileDescriptor fd(memfd_create("lanthorn tokens", MFD_CLOEXEC));
    if (!fd.valid()) return MachineError(ErrnoMessage("memfd", "cannot make", errno));
    return Draft{std::move(fd), ""};
  }
  // Without a name until it is whole: a process that is killed leaves nothing.
  FileDescriptor fd(open(FolderOf(path).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666));
  if (fd.valid()) return Draft{std::move(fd), ""};
  if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
    return MachineError(ErrnoMessage(path, "cannot write", errno));
  std::string named = absl::StrCat(path, ".tmp-", getpid());
  FileDescriptor plain(open(named.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!plain.valid()) return MachineError(ErrnoMessage(path, "cannot write", errno));
  return Draft{std::move(plain), std::move(named)};
}

IdWriter IdWriter::InFile(const std::string& path) {
  IdWriter writer;
  writer.path_ = path;
  auto draft = MakeDraft(path);
  if (!draft.ok()) {
    writer.status_ = draft.status();
    return writer;
  }
  writer.fd_ = std::move(draft->fd);
  writer.named_ = std::move(draft->named);
  return writer;
}

IdWriter IdWriter::InMemory() { return InFile(""); }

IdWriter::~IdWriter() {
  if (!named_.empty()) unlink(named_.c_str());
}

void IdWriter::Reserve(size_t bytes) {
  reserved_ = bytes;
  Write(std::string(bytes, '\0').data(), bytes);
}

void IdWriter::Write(const void* data, size_t bytes) {
  const char* next = static_cast<const char*>(data);
  while (status_.ok() && bytes > 0) {
    const ssize_t put = sys::Write(fd_.get(), next, std::min(bytes, size_t{1} << 30), path_);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      status_ = MachineError(ErrnoMessage(path_.empty() ? "tokens in memory" : path_, "cannot write", errno));
      return;
    }
    next += put;
    bytes -= static_cast<size_t>(put);
  }
}

void IdWriter::Append(const std::vector<uint32_t>& ids) {
  if (!status_.ok() || ids.empty()) return;
  const uint32_t largest = *std::max_element(ids.begin(), ids.end());
  const int needed = largest < 1u << 8 ? 1 : largest < 1u << 16 ? 2 : 4;
  if (needed > width_) Widen(needed);
  if (width_ == 1) Narrow<uint8_t>(ids, &narrow_);
  if (width_ == 2) Narrow<uint16_t>(ids, &narrow_);
  if (width_ == 4) Narrow<uint32_t>(ids, &narrow_);
  Write(narrow_.data(), narrow_.size());
  count_ += static_cast<int64_t>(ids.size());
}

void IdWriter::AppendBytes(const std::string& bytes) { Write(bytes.data(), bytes.size()); }

void IdWriter::WriteHeader(const void* header, size_t bytes) {
  LANTHORN_CHECK(bytes == reserved_);
  if (status_.ok() && pwrite(fd_.get(), header, bytes, 0) != static_cast<ssize_t>(bytes))
    status_ = MachineError(ErrnoMessage(path_, "cannot write", errno));
}

void IdWriter::Widen(int width) {
  IdWriter wide = InFile(path_);
  if (!wide.status_.ok()) {
    status_ = wide.status_;
    return;
  }
  wide.Reserve(reserved_);
  wide.width_ = width;
  std::vector<uint32_t> ids;
  std::vector<char> piece(size_t{1} << 20);
  off_t at = static_cast<off_t>(reserved_);
  for (int64_t left = count_; left > 0 && wide.status_.ok();) {
    const int64_t now = std::min<int64_t>(left, static_cast<int64_t>(piece.size()) / width_);
    const ssize_t got = pread(fd_.get(), piece.data(), static_cast<size_t>(now * width_), at);
    if (got != now * width_) {
      status_ = MachineError(ErrnoMessage(path_, "cannot read back", errno));
      return;
    }
    ids.resize(static_cast<size_t>(now));
    for (int64_t i = 0; i < now; ++i) {
      ids[static_cast<size_t>(i)] = width_ == 1 ? reinterpret_cast<const uint8_t*>(piece.data())[i]
                                                : reinterpret_cast<const uint16_t*>(piece.data())[i];
    }
    wide.Append(ids);
    at += got;
    left -= now;
  }
  status_ = wide.status_;
  std::swap(fd_, wide.fd_);
  std::swap(named_, wide.named_);
  width_ = width;
}

absl::Status IdWriter::Publish() {
  if (!status_.ok() || path_.empty()) return status_;
  std::string named = named_;
  if (named.empty()) {
    named = absl::StrCat(path_, ".tmp-", getpid());
    unlink(named.c_str());  // of a process that had this number and died
    const std::string self = absl::StrCat("/proc/self/fd/", fd_.get());
    if (linkat(AT_FDCWD, self.c_str(), AT_FDCWD, named.c_str(), AT_SYMLINK_FOLLOW) != 0)
      return MachineError(ErrnoMessage(path_, "cannot write", errno));
  }
  named_.clear();
  if (sys::Rename(named, path_) == 0) return absl::OkStatus();
  const int reason = errno;
  unlink(named.c_str());
  return MachineError(ErrnoMessage(path_, "cannot replace", reason));
}

}  // namespace lanthorn::data
