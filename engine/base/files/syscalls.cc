#include "engine/base/files/syscalls.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

namespace lanthorn::sys {
namespace {

FaultHook& Hook() {
  static FaultHook hook;
  return hook;
}

// Whether the call has to fail; errno is set then.
bool Fails(const char* call, const std::string& path) {
  const int error = Hook() ? Hook()(call, path) : 0;
  if (error != 0) errno = error;
  return error != 0;
}

}  // namespace

void SetFaultHook(FaultHook hook) { Hook() = std::move(hook); }

int Open(const std::string& path, int flags) {
  return Fails("open", path) ? -1 : open(path.c_str(), flags | O_CLOEXEC, 0666);
}

ssize_t Write(int fd, const void* data, size_t bytes, const std::string& path) {
  if (!Fails("write", path)) return write(fd, data, bytes);
  const int error = errno;
  (void)!write(fd, data, bytes / 2);
  errno = error;
  return -1;
}

int Fsync(int fd, const std::string& path) { return Fails("fsync", path) ? -1 : fsync(fd); }

int Rename(const std::string& from, const std::string& to) {
  return Fails("rename", to) ? -1 : rename(from.c_str(), to.c_str());
}

int Exchange(const std::string& a, const std::string& b) {
  return Fails("exchange", b) ? -1 : renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE);
}

int Mkdir(const std::string& path) { return Fails("mkdir", path) ? -1 : mkdir(path.c_str(), 0777); }

int Symlink(const std::string& target, const std::string& path) {
  return Fails("symlink", path) ? -1 : symlink(target.c_str(), path.c_str());
}

}  // namespace lanthorn::sys
