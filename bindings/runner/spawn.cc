#include "bindings/runner/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <unistd.h>

extern char** environ;

namespace lanthorn::runner {
namespace {

// The attributes of a process: a group of its own, default signals, none blocked.
class Attributes {
 public:
  Attributes() {
    posix_spawnattr_init(&attributes_);
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setpgroup(&attributes_, 0);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  }
  ~Attributes() { posix_spawnattr_destroy(&attributes_); }
  const posix_spawnattr_t* get() const { return &attributes_; }

 private:
  posix_spawnattr_t attributes_;
};

// Its files: stdin from `input`, both output streams to `output`, and nothing else of ours, so that it holds no pipe or
// terminal open.
class Actions {
 public:
  Actions(int input, int output) {
    posix_spawn_file_actions_init(&actions_);
    Give(input, STDIN_FILENO, O_RDONLY);
    Give(output, STDOUT_FILENO, O_WRONLY);
    Give(output, STDERR_FILENO, O_WRONLY);
    posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1);
  }
  ~Actions() { posix_spawn_file_actions_destroy(&actions_); }
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  void Give(int from, int to, int how) {
    if (from >= 0) {
      posix_spawn_file_actions_adddup2(&actions_, from, to);
    } else {
      posix_spawn_file_actions_addopen(&actions_, to, "/dev/null", how, 0);
    }
  }
  posix_spawn_file_actions_t actions_;
};

std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Our environment with these names set.
std::vector<std::string> Environment(std::map<std::string, std::string> variables) {
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const char* equals = strchr(*entry, '=');
    // A name that is there already keeps its value.
    if (equals != nullptr) variables.emplace(std::string(*entry, static_cast<size_t>(equals - *entry)), equals + 1);
  }
  std::vector<std::string> entries;
  for (const auto& [name, value] : variables) entries.push_back(name + "=" + value);
  return entries;
}

}  // namespace

std::vector<std::string> ReadWords(lua_State* L, int index) {
  luaL_checktype(L, index, LUA_TTABLE);
  std::vector<std::string> words;
  const int count = static_cast<int>(lua_objlen(L, index));
  for (int i = 1; i <= count; ++i) {
    lua_rawgeti(L, index, i);
    words.emplace_back(luaL_checkstring(L, -1));
    lua_pop(L, 1);
  }
  if (words.empty()) luaL_error(L, "no program to start");
  return words;
}

int SpawnGroup(std::vector<std::string> words, const std::map<std::string, std::string>& variables, int input,
               int output, pid_t* pid) {
  std::vector<std::string> environment = Environment(variables);
  return posix_spawn(pid, words[0].c_str(), Actions(input, output).get(), Attributes().get(), Pointers(words).data(),
                     Pointers(environment).data());
}

}  // namespace lanthorn::runner
