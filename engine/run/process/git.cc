#include "engine/run/process/git.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>

#include "engine/base/files/files.h"

extern char** environ;

namespace lanthorn {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kPatience(2000);

// Starts `git -C folder arguments` with its output on `out`; 0 when that is impossible.
pid_t StartGit(const std::string& folder, const std::vector<std::string>& arguments, int out) {
  std::vector<std::string> words = {"git", "--no-optional-locks", "-C", folder};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out, 1);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, "git", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  return error == 0 ? pid : 0;
}

// Reads until the end, the limit or the deadline; true when the end was reached.
bool ReadUntil(int fd, size_t limit, Clock::time_point deadline, std::string& output) {
  char piece[65536];
  while (output.size() < limit) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd ready{fd, POLLIN, 0};
    const int count = left > 0 ? poll(&ready, 1, static_cast<int>(left)) : 0;
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    const ssize_t got = read(fd, piece, std::min(sizeof piece, limit - output.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got == 0;
    output.append(piece, static_cast<size_t>(got));
  }
  return false;
}

struct GitAnswer {
  std::string output;
  bool complete;  // git ended by itself, with code 0
};

GitAnswer AskGit(const std::string& folder, const std::vector<std::string>& arguments, size_t limit) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return {"", false};
  const FileDescriptor in(ends[0]);
  pid_t pid;
  {
    const FileDescriptor out(ends[1]);
    pid = StartGit(folder, arguments, out.get());
  }
  if (pid == 0) return {"", false};
  GitAnswer answer{"", false};
  const bool ended = ReadUntil(in.get(), limit, Clock::now() + kPatience, answer.output);
  if (!ended) kill(pid, SIGKILL);
  int status = 0;
  pid_t waited;
  do {
    waited = waitpid(pid, &status, 0);
  } while (waited < 0 && errno == EINTR);
  answer.complete = ended && waited == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  return answer;
}

std::optional<std::string> AskLine(const std::string& folder, const std::vector<std::string>& arguments) {
  GitAnswer answer = AskGit(folder, arguments, 4096);
  if (!answer.complete) return std::nullopt;
  while (!answer.output.empty() && answer.output.back() == '\n') answer.output.pop_back();
  return answer.output;
}

}  // namespace

nlohmann::json GitState(const std::string& folder) {
  const auto commit = AskLine(folder, {"rev-parse", "--verify", "--quiet", "HEAD"});
  if (!commit) return nullptr;
  const auto branch = AskLine(folder, {"symbolic-ref", "--short", "--quiet", "HEAD"});
  const auto changes = AskLine(folder, {"status", "--porcelain", "--untracked-files=no"});
  nlohmann::json state = {{"commit", *commit}, {"branch", nullptr}, {"dirty", !changes || !changes->empty()}};
  if (branch) state["branch"] = *branch;
  return state;
}

std::string GitDiff(const std::string& folder, size_t limit) {
  return AskGit(folder, {"diff", "--no-color", "--no-ext-diff", "HEAD"}, limit).output;
}

}  // namespace lanthorn
