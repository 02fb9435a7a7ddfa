// Starting a program in a process group of its own, so that Ctrl-C does not reach it, with no file of ours but those
// named.
#pragma once

#include <sys/types.h>

#include <lua.hpp>
#include <map>
#include <string>
#include <vector>

namespace lanthorn::runner {

// The list of texts at a stack index. [-0, +0, e]
std::vector<std::string> ReadWords(lua_State* L, int index);

// Starts words[0] with our environment and `variables` over it. A file descriptor of -1 stands for nothing to read, or
// for output that is dropped. 0 and the pid, or the error number.
int SpawnGroup(std::vector<std::string> words, const std::map<std::string, std::string>& variables, int input,
               int output, pid_t* pid);

}  // namespace lanthorn::runner
