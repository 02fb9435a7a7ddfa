// Whole files, atomic replacement, hashes and time stamps. Every message begins with the path: "'results/x': cannot
// write: Permission denied". Failures on reading are DataError, failures on writing MachineError.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/status.h"

namespace lanthorn {

// Owns a POSIX file descriptor and closes it.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileDescriptor();

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// Opens an existing file for reading; DataError when it is missing, unreadable or no regular file.
absl::StatusOr<FileDescriptor> OpenForReading(const std::string& path);

// The whole content of a regular file.
absl::StatusOr<std::string> ReadFile(const std::string& path);

// A file that appears whole or not at all: bytes go to "<path>.tmp", Commit renames it to `path`. Destroyed without a
// successful Commit it removes the .tmp file and leaves `path` as it was. One writer per path at a time.
class AtomicFile {
 public:
  static absl::StatusOr<AtomicFile> Create(const std::string& path);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  absl::Status Append(const void* data, size_t bytes);

  // fsync, rename, fsync of the folder. With `sync` false readers still see all or nothing, but a power cut may lose
  // the file.
  absl::Status Commit(bool sync = true);

 private:
  AtomicFile(std::string path, FileDescriptor fd);

  std::string path_;
  FileDescriptor fd_;
  bool pending_ = true;
};

// Replaces `path` by `contents` through an AtomicFile.
absl::Status WriteFileAtomic(const std::string& path, const std::string& contents, bool sync = true);

// Makes what was renamed or removed in the folder survive a power cut.
absl::Status SyncFolder(const std::string& folder);

// Makes `path` a symbolic link to `target` (stored as it is given), in place of a link that is there.
absl::Status ReplaceLink(const std::string& path, const std::string& target);

// Makes the folder and its parents; fine when it exists.
absl::Status EnsureDirectory(const std::string& path);

// 64 lower-case hex digits. Files are read in pieces, never whole.
std::string Sha256Hex(std::string_view bytes);
absl::StatusOr<std::string> Sha256File(const std::string& path);

// The time as "2026-11-21T10:15:00.123Z".
std::string UtcNow();
// Seconds since 1970 of such a time; no value for another text.
std::optional<double> SecondsOfUtc(const std::string& text);
// Seconds since 1970 now.
double UnixNow();

// "'<path>': <what>: <text of errno value>".
std::string ErrnoMessage(const std::string& path, const std::string& what, int error);

}  // namespace lanthorn
