#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "bindings/runner/host.h"
#include "engine/base/files/files.h"

namespace lanthorn::runner {
namespace {

// realpath(path): absolute path without links, or nil, message.
int RealPath(lua_State* L) {
  const char* path = luaL_checkstring(L, 1);
  char buffer[PATH_MAX];
  if (realpath(path, buffer) == nullptr) return PushFailure(L, path, errno);
  lua_pushstring(L, buffer);
  return 1;
}

// listdir(path): sorted names without "." and "..", or nil, message.
int ListDir(lua_State* L) {
  const char* path = luaL_checkstring(L, 1);
  DIR* dir = opendir(path);
  if (dir == nullptr) return PushFailure(L, path, errno);
  std::vector<std::string> names;
  while (const dirent* entry = readdir(dir)) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) names.emplace_back(entry->d_name);
  }
  closedir(dir);
  std::sort(names.begin(), names.end());
  lua_createtable(L, static_cast<int>(names.size()), 0);
  for (std::size_t i = 0; i < names.size(); ++i) {
    lua_pushstring(L, names[i].c_str());
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  return 1;
}

const char* TypeName(mode_t mode) {
  if (S_ISREG(mode)) return "file";
  if (S_ISDIR(mode)) return "dir";
  if (S_ISLNK(mode)) return "link";
  return "other";
}

// stat(path, keep_links): { type = "file" | "dir" | "link" | "other", size = bytes, mtime = seconds }, or nil, message.
// Links are followed unless keep_links is true.
int Stat(lua_State* L) {
  const char* path = luaL_checkstring(L, 1);
  struct stat info {};
  const int rc = lua_toboolean(L, 2) ? lstat(path, &info) : stat(path, &info);
  if (rc != 0) return PushFailure(L, path, errno);
  lua_createtable(L, 0, 3);
  lua_pushstring(L, TypeName(info.st_mode));
  lua_setfield(L, -2, "type");
  lua_pushnumber(L, static_cast<lua_Number>(info.st_size));
  lua_setfield(L, -2, "size");
  lua_pushnumber(L,
                 static_cast<lua_Number>(info.st_mtim.tv_sec) + 1e-9 * static_cast<lua_Number>(info.st_mtim.tv_nsec));
  lua_setfield(L, -2, "mtime");
  return 1;
}

// mkdir(path): true, or nil, message; a folder that exists is a failure, because run directories are claimed this way.
int MakeDir(lua_State* L) {
  const char* path = luaL_checkstring(L, 1);
  if (mkdir(path, 0777) != 0) return PushFailure(L, path, errno);
  lua_pushboolean(L, 1);
  return 1;
}

// disk(path): { free = bytes a user may still write, size = bytes, writable = bool } of the file system, or nil,
// message.
int Disk(lua_State* L) {
  const char* path = luaL_checkstring(L, 1);
  struct statvfs info {};
  if (statvfs(path, &info) != 0) return PushFailure(L, path, errno);
  lua_createtable(L, 0, 3);
  lua_pushnumber(L, static_cast<lua_Number>(info.f_bavail) * static_cast<lua_Number>(info.f_frsize));
  lua_setfield(L, -2, "free");
  lua_pushnumber(L, static_cast<lua_Number>(info.f_blocks) * static_cast<lua_Number>(info.f_frsize));
  lua_setfield(L, -2, "size");
  lua_pushboolean(L, access(path, W_OK) == 0);
  lua_setfield(L, -2, "writable");
  return 1;
}

int WorkingDirectory(lua_State* L) {
  char buffer[PATH_MAX];
  if (getcwd(buffer, sizeof buffer) == nullptr) return PushFailure(L, ".", errno);
  lua_pushstring(L, buffer);
  return 1;
}

// chdir(path): true, or nil, message.
int ChangeDirectory(lua_State* L) {
  const char* path = luaL_checkstring(L, 1);
  if (chdir(path) != 0) return PushFailure(L, path, errno);
  lua_pushboolean(L, 1);
  return 1;
}

// sha256(text): 64 hex digits.
int Sha256(lua_State* L) {
  std::size_t size = 0;
  const char* text = luaL_checklstring(L, 1, &size);
  lua_pushstring(L, Sha256Hex({text, size}).c_str());
  return 1;
}

// write_file(path, text): replaces the file at once and for good; true, or nil, message.
int Write(lua_State* L) {
  const char* path = luaL_checkstring(L, 1);
  std::size_t size = 0;
  const char* text = luaL_checklstring(L, 2, &size);
  return PushOutcome(L, WriteFileAtomic(path, {text, size}));
}

// create_file(path, text): makes the file, whole and for good; true, false when there is one already, or nil, message.
int Create(lua_State* L) {
  const std::string path = luaL_checkstring(L, 1);
  std::size_t size = 0;
  const char* text = luaL_checklstring(L, 2, &size);
  const std::string made = path + "." + std::to_string(getpid()) + ".new";
  if (const absl::Status status = WriteFileAtomic(made, {text, size}); !status.ok()) return PushFailure(L, status);
  const bool first = link(made.c_str(), path.c_str()) == 0;
  const int error = errno;
  unlink(made.c_str());
  if (!first && error != EEXIST) return PushFailure(L, path.c_str(), error);
  lua_pushboolean(L, first);
  return 1;
}

// link(path, target): makes path a link to target, in place of a link that is there; true, or nil, message.
int Link(lua_State* L) { return PushOutcome(L, ReplaceLink(luaL_checkstring(L, 1), luaL_checkstring(L, 2))); }

constexpr luaL_Reg kFunctions[] = {{"realpath", RealPath},     {"listdir", ListDir}, {"stat", Stat},
                                   {"mkdir", MakeDir},         {"disk", Disk},       {"cwd", WorkingDirectory},
                                   {"chdir", ChangeDirectory}, {"sha256", Sha256},   {"write_file", Write},
                                   {"create_file", Create},    {"link", Link},       {nullptr, nullptr}};

}  // namespace

void RegisterFiles(lua_State* L) { luaL_register(L, nullptr, kFunctions); }

}  // namespace lanthorn::runner
