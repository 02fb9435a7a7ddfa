// The system calls that make files durable, and the one place where a test lets them fail.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <string>

namespace lanthorn::sys {

// Asked before every call with its name ("open", "write", "fsync", "rename", "exchange", "mkdir", "symlink") and path.
// 0 lets it happen; any other value is the errno it fails with. A write that fails has written half of its bytes.
using FaultHook = std::function<int(const char* call, const std::string& path)>;

// Replaces the hook; an empty one ends the interference. Not while another thread writes files.
void SetFaultHook(FaultHook hook);

// As the calls of the same name; -1 and errno on failure. `path` is that of the descriptor.
int Open(const std::string& path, int flags);  // mode 0666, O_CLOEXEC
ssize_t Write(int fd, const void* data, size_t bytes, const std::string& path);
int Fsync(int fd, const std::string& path);
int Rename(const std::string& from, const std::string& to);
// Exchanges two paths at once; EINVAL or ENOSYS where the file system cannot.
int Exchange(const std::string& a, const std::string& b);
int Mkdir(const std::string& path);
int Symlink(const std::string& target, const std::string& path);

}  // namespace lanthorn::sys
