#include "engine/run/process/stack_dump.h"

#define UNW_LOCAL_ONLY  // of this process
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <libunwind.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <system_error>

#include "absl/debugging/symbolize.h"

namespace lanthorn {
namespace {

constexpr int kMostThreads = 256, kMostFrames = 100;
constexpr int kAnswerMs = 500;          // for threads to give their registers
constexpr int kChildSeconds = 5;        // for a child to write
constexpr int kThreadLimitMs = 30'000;  // a thread never waits longer, whatever became of who asked

// A thread and the registers it was interrupted with.
struct Slot {
  std::atomic<pid_t> thread{0};
  std::atomic<const ucontext_t*> context{nullptr};
};
std::array<Slot, kMostThreads> slots;
std::atomic<int> used{0};
std::atomic<unsigned> round_count{0};  // odd while threads give their registers and wait
std::atomic_flag busy = ATOMIC_FLAG_INIT;
std::atomic<StackDumpHook> added{nullptr};
std::atomic<StackDumpNotice> notice{nullptr};
// The folder that counts; the other place takes the next one.
std::array<char[PATH_MAX], 2> folders;
std::atomic<const char*> folder{nullptr};

int CollectSignal() { return SIGRTMAX - 3; }
pid_t ThreadId() { return static_cast<pid_t>(syscall(SYS_gettid)); }

void SleepMs(int milliseconds) {
  timespec time{milliseconds / 1000, milliseconds % 1000 * 1'000'000L};
  nanosleep(&time, nullptr);
}

// --- in the child
// -----------------------------------------------------------------------------------------------------

struct Output {
  int fds[2] = {-1, -1};
  int count = 0;
};

void Print(const Output& output, const char* format, ...) __attribute__((format(printf, 2, 3)));
void Print(const Output& output, const char* format, ...) {
  char line[1024];
  va_list arguments;
  va_start(arguments, format);
  const int size = std::min(vsnprintf(line, sizeof line, format, arguments), static_cast<int>(sizeof line) - 1);
  va_end(arguments);
  for (int i = 0; i < output.count; ++i) (void)!write(output.fds[i], line, static_cast<size_t>(size));
}

// One line of /proc/self/task/<thread>/<name>, of the parent's thread.
void ReadTask(pid_t process, pid_t thread, const char* name, char* text, size_t size) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/task/%d/%s", process, thread, name);
  text[0] = 0;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  const ssize_t got = read(fd, text, size - 1);
  close(fd);
  text[std::max<ssize_t>(got, 0)] = 0;
  text[strcspn(text, "\n")] = 0;
}

void PrintFrame(const Output& output, int depth, uintptr_t address) {
  char name[512];
  // Return addresses may lie behind the last byte of a function that does not return.
  const uintptr_t inside = depth > 0 ? address - 1 : address;
  if (absl::Symbolize(reinterpret_cast<void*>(inside), name, sizeof name)) {
    Print(output, "  #%-2d %s\n", depth, name);
    return;
  }
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(inside), &info) != 0 && info.dli_fname != nullptr) {
    const char* base = strrchr(info.dli_fname, '/');
    Print(output, "  #%-2d %s+0x%lx\n", depth, base != nullptr ? base + 1 : info.dli_fname,
          static_cast<unsigned long>(address - reinterpret_cast<uintptr_t>(info.dli_fbase)));
  } else {
    Print(output, "  #%-2d 0x%lx (no library: compiled Lua code lies in such places)\n", depth,
          static_cast<unsigned long>(address));
  }
}

void PrintThread(const Output& output, pid_t process, const Slot& slot) {
  const pid_t thread = slot.thread;
  char name[64];
  ReadTask(process, thread, "comm", name, sizeof name);
  Print(output, "\nthread %d (%s)%s\n", thread, name, thread == process ? ", the main one" : "");
  const ucontext_t* interrupted = slot.context;
  if (interrupted == nullptr) {
    char waits[64];
    ReadTask(process, thread, "wchan", waits, sizeof waits);
    Print(output, "  did not respond; it waits in the kernel at %s\n", waits[0] != 0 ? waits : "an unknown place");
    return;
  }
  unw_context_t context;
  memcpy(&context, interrupted, sizeof context);
  unw_cursor_t cursor;
  if (unw_init_local2(&cursor, &context, UNW_INIT_SIGNAL_FRAME) != 0) return;
  for (int depth = 0; depth < kMostFrames; ++depth) {
    unw_word_t address = 0;
    if (unw_get_reg(&cursor, UNW_REG_IP, &address) != 0 || address == 0) return;
    PrintFrame(output, depth, address);
    if (unw_step(&cursor) <= 0) return;
  }
  Print(output, "  ...\n");
}

// Signals do in a child what they do by default: a crash ends it, the alarm ends it, and it runs no handler of ours.
void BecomeChild() {
  for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGALRM, SIGQUIT, SIGTERM, SIGINT, SIGHUP}) {
    ::signal(signal, SIG_DFL);
  }
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_UNBLOCK, &all, nullptr);
  alarm(kChildSeconds);
}

// Runs `work` in a forked copy of the process and waits for it.
template <typename Work>
void InChild(Work work) {
  const pid_t child = _Fork();
  if (child == 0) {
    BecomeChild();
    work();
    _exit(0);
  }
  if (child < 0) return;
  // The alarm ends it; the count is for a system without mercy.
  for (int waited = 0; waited < (kChildSeconds + 2) * 1000; ++waited) {
    const pid_t got = waitpid(child, nullptr, WNOHANG);
    if (got == child || (got < 0 && errno != EINTR)) return;
    SleepMs(1);
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

// --- in signal handlers
// -----------------------------------------------------------------------------------------------

void GiveContext(int, siginfo_t*, void* context) {
  const int saved_errno = errno;
  const unsigned round = round_count;
  const pid_t self = ThreadId();
  for (int i = 0; round % 2 == 1 && i < used; ++i) {  // a late answer waits for nobody
    if (slots[static_cast<size_t>(i)].thread != self) continue;
    slots[static_cast<size_t>(i)].context = static_cast<const ucontext_t*>(context);
    for (int waited = 0; round_count == round && waited < kThreadLimitMs; ++waited) SleepMs(1);
    break;
  }
  errno = saved_errno;
}

// Calls f(id) for each thread of the process; by system calls alone.
template <typename Function>
void ForEachThread(Function f) {
  const int fd = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  struct Entry {  // linux_dirent64
    uint64_t inode;
    int64_t offset;
    uint16_t size;
    uint8_t type;
    char name[1];
  };
  alignas(Entry) char buffer[2048];
  long got;
  while ((got = syscall(SYS_getdents64, fd, buffer, sizeof buffer)) > 0) {
    for (long at = 0; at < got;) {
      const auto* entry = reinterpret_cast<const Entry*>(buffer + at);
      pid_t id = 0;
      for (const char* c = entry->name; *c >= '0' && *c <= '9'; ++c) id = id * 10 + (*c - '0');
      if (id > 0) f(id);
      at += entry->size;
    }
  }
  close(fd);
}

void CollectContexts(const ucontext_t* own) {
  const pid_t self = ThreadId(), process = getpid();
  int count = 0;
  // The main thread comes first.
  for (const bool main_thread : {true, false}) {
    ForEachThread([&](pid_t id) {
      if ((id == process) != main_thread || count == kMostThreads) return;
      Slot& slot = slots[static_cast<size_t>(count++)];
      slot.context = id == self ? own : nullptr;
      slot.thread = id;
    });
  }
  used = count;
  ++round_count;
  for (int i = 0; i < count; ++i) {
    const pid_t id = slots[static_cast<size_t>(i)].thread;
    if (id != self) syscall(SYS_tgkill, process, id, CollectSignal());
  }
  for (int waited = 0; waited < kAnswerMs; ++waited) {
    bool all = true;
    for (int i = 0; i < count; ++i) all = all && slots[static_cast<size_t>(i)].context != nullptr;
    if (all) return;
    SleepMs(1);
  }
}

int OpenDump(int64_t milliseconds) {
  const char* run_folder = folder;
  if (run_folder == nullptr) return -1;
  char path[PATH_MAX + 64];
  snprintf(path, sizeof path, "%s/dumps", run_folder);
  mkdir(path, 0777);
  snprintf(path, sizeof path, "%s/dumps/stacks-%lld.txt", run_folder, static_cast<long long>(milliseconds));
  return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
}

void Dump(int signal, siginfo_t*, void* context) {
  if (busy.test_and_set()) return;
  const int saved_errno = errno;
  if (StackDumpNotice f = notice) f(signal);
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  const int64_t milliseconds = static_cast<int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
  Output output;
  if (const int fd = OpenDump(milliseconds); fd >= 0) output.fds[output.count++] = fd;
  if (output.count == 0 || isatty(STDERR_FILENO)) output.fds[output.count++] = STDERR_FILENO;
  const int file = output.fds[0] != STDERR_FILENO ? output.fds[0] : -1;

  const pid_t process = getpid();
  CollectContexts(static_cast<const ucontext_t*>(context));
  InChild([&] {
    Print(output, "stacks of process %d at %lld ms\n", process, static_cast<long long>(milliseconds));
    for (int i = 0; i < used; ++i) PrintThread(output, process, slots[static_cast<size_t>(i)]);
    if (used == kMostThreads) Print(output, "\nonly the first %d threads are shown\n", kMostThreads);
  });
  if (StackDumpHook f = added) {
    InChild([&] { f(output.fds, output.count, slots[0].context); });
  }
  ++round_count;
  Print(output, "end\n");
  if (file >= 0) close(file);
  errno = saved_errno;
  busy.clear();
}

}  // namespace

void InstallStackDump() {
  static std::once_flag once;
  std::call_once(once, [] {
    absl::InitializeSymbolizer("/proc/self/exe");
    struct sigaction action = {};
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    action.sa_sigaction = &GiveContext;
    sigaction(CollectSignal(), &action, nullptr);
    action.sa_sigaction = &Dump;
    sigaction(SIGQUIT, &action, nullptr);
  });
}

void SetStackDumpFolder(const std::string& run_folder) {
  std::error_code ignored;
  const std::string path = run_folder.empty() ? "" : std::filesystem::absolute(run_folder, ignored).string();
  if (path.empty() || path.size() >= PATH_MAX) {
    folder = nullptr;
    return;
  }
  char* place = folder == folders[0] ? folders[1] : folders[0];
  memcpy(place, path.c_str(), path.size() + 1);
  folder = place;
}

void SetStackDumpHook(StackDumpHook hook) { added = hook; }
void SetStackDumpNotice(StackDumpNotice function) { notice = function; }

}  // namespace lanthorn
