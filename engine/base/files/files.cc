#include "engine/base/files/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <system_error>
#include <vector>

#include "engine/base/files/sha256.h"
#include "engine/base/files/syscalls.h"

namespace lanthorn {
namespace {

constexpr size_t kPiece = size_t{1} << 20;

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Reads up to `bytes`; 0 at the end of the file, -1 with errno set.
ssize_t ReadSome(int fd, void* data, size_t bytes) {
  ssize_t got;
  do {
    got = read(fd, data, bytes);
  } while (got < 0 && errno == EINTR);
  return got;
}

}  // namespace

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) close(fd_);
}

std::string ErrnoMessage(const std::string& path, const std::string& what, int error) {
  return absl::StrCat("'", path, "': ", what, ": ", std::generic_category().message(error));
}

absl::StatusOr<FileDescriptor> OpenForReading(const std::string& path) {
  // O_NONBLOCK: opening a named pipe must fail below instead of waiting for a writer; regular files ignore it.
  FileDescriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return DataError(ErrnoMessage(path, "cannot read", errno));
  struct stat info;
  if (fstat(fd.get(), &info) != 0) return DataError(ErrnoMessage(path, "cannot read", errno));
  if (!S_ISREG(info.st_mode)) return DataError(absl::StrCat("'", path, "': cannot read: not a regular file"));
  return fd;
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  LANTHORN_ASSIGN_OR_RETURN(FileDescriptor fd, OpenForReading(path));
  struct stat info;
  if (fstat(fd.get(), &info) != 0) return DataError(ErrnoMessage(path, "cannot read", errno));
  // Files below /proc say size 0, so the size is a first guess and reading goes on to the end; the extra byte lets the
  // read that finds the end happen without growing.
  std::string contents(static_cast<size_t>(info.st_size) + 1, '\0');
  size_t filled = 0;
  for (;;) {
    if (filled == contents.size()) contents.resize(filled + filled / 8 + 4096);
    const ssize_t got = ReadSome(fd.get(), contents.data() + filled, contents.size() - filled);
    if (got < 0) return DataError(ErrnoMessage(path, "cannot read", errno));
    if (got == 0) break;
    filled += static_cast<size_t>(got);
  }
  contents.resize(filled);
  return contents;
}

absl::Status SyncFolder(const std::string& folder) {
  FileDescriptor fd(sys::Open(folder, O_RDONLY | O_DIRECTORY));
  if (!fd.valid()) return MachineError(ErrnoMessage(folder, "cannot open folder", errno));
  // Some network file systems cannot sync a folder and say so with EINVAL; the rename itself has happened.
  if (sys::Fsync(fd.get(), folder) != 0 && errno != EINVAL)
    return MachineError(ErrnoMessage(folder, "cannot sync folder", errno));
  return absl::OkStatus();
}

absl::Status ReplaceLink(const std::string& path, const std::string& target) {
  const std::string temporary = absl::StrCat(path, ".tmp-", getpid());
  unlink(temporary.c_str());  // of a process that had this number and died
  if (sys::Symlink(target, temporary) != 0) return MachineError(ErrnoMessage(path, "cannot link", errno));
  if (sys::Rename(temporary, path) == 0) return absl::OkStatus();
  const int reason = errno;
  unlink(temporary.c_str());
  return MachineError(ErrnoMessage(path, "cannot replace", reason));
}

AtomicFile::AtomicFile(std::string path, FileDescriptor fd) : path_(std::move(path)), fd_(std::move(fd)) {}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::move(other.fd_)), pending_(std::exchange(other.pending_, false)) {}

AtomicFile::~AtomicFile() {
  if (pending_) unlink((path_ + ".tmp").c_str());
}

absl::StatusOr<AtomicFile> AtomicFile::Create(const std::string& path) {
  FileDescriptor fd(sys::Open(path + ".tmp", O_WRONLY | O_CREAT | O_TRUNC));
  if (!fd.valid()) return MachineError(ErrnoMessage(path, "cannot write", errno));
  return AtomicFile(path, std::move(fd));
}

absl::Status AtomicFile::Append(const void* data, size_t bytes) {
  const char* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t put = sys::Write(fd_.get(), next, std::min(bytes, size_t{1} << 30), path_);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return MachineError(ErrnoMessage(path_, "cannot write", errno));
    next += put;
    bytes -= static_cast<size_t>(put);
  }
  return absl::OkStatus();
}

absl::Status AtomicFile::Commit(bool sync) {
  if (sync && sys::Fsync(fd_.get(), path_) != 0) return MachineError(ErrnoMessage(path_, "cannot sync", errno));
  if (sys::Rename(path_ + ".tmp", path_) != 0) {
    return MachineError(ErrnoMessage(path_, "cannot replace", errno));
  }
  pending_ = false;
  return sync ? SyncFolder(FolderOf(path_)) : absl::OkStatus();
}

absl::Status WriteFileAtomic(const std::string& path, const std::string& contents, bool sync) {
  LANTHORN_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  LANTHORN_RETURN_IF_ERROR(file.Append(contents.data(), contents.size()));
  return file.Commit(sync);
}

absl::Status EnsureDirectory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!error && !std::filesystem::is_directory(path, error) && !error) {
    error = std::make_error_code(std::errc::not_a_directory);
  }
  if (error) return MachineError(ErrnoMessage(path, "cannot make folder", error.value()));
  return absl::OkStatus();
}

std::string Sha256Hex(std::string_view bytes) {
  Sha256 hash;
  hash.Update(bytes.data(), bytes.size());
  return hash.Hex();
}

absl::StatusOr<std::string> Sha256File(const std::string& path) {
  LANTHORN_ASSIGN_OR_RETURN(FileDescriptor fd, OpenForReading(path));
  Sha256 hash;
  std::vector<char> piece(kPiece);
  for (;;) {
    const ssize_t got = ReadSome(fd.get(), piece.data(), piece.size());
    if (got < 0) return DataError(ErrnoMessage(path, "cannot read", errno));
    if (got == 0) return hash.Hex();
    hash.Update(piece.data(), static_cast<size_t>(got));
  }
}

std::string UtcNow() {
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  const int64_t ms = std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch).count();
  const std::time_t seconds = static_cast<std::time_t>(ms / 1000);
  std::tm utc;
  gmtime_r(&seconds, &utc);
  char day_and_time[32], text[48];
  std::strftime(day_and_time, sizeof day_and_time, "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(text, sizeof text, "%s.%03dZ", day_and_time, static_cast<int>(ms % 1000));
  return text;
}

std::optional<double> SecondsOfUtc(const std::string& text) {
  std::tm utc{};
  const char* rest = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &utc);
  if (rest == nullptr) return std::nullopt;
  char* end = nullptr;
  const double fraction = *rest == '.' ? std::strtod(rest, &end) : 0;
  if (std::string_view(*rest == '.' ? end : rest) != "Z") return std::nullopt;
  return static_cast<double>(timegm(&utc)) + fraction;
}

double UnixNow() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

}  // namespace lanthorn
