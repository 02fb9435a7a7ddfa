#include "engine/run/process/stack_dump.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <thread>

#include "engine/base/files/files.h"
#include "tests/engine/temporary_folder.h"

namespace lanthorn {
namespace stacks {

// Names to be found in a dump, so they must not be inlined.
std::mutex mutex;
std::condition_variable changed;
bool waits = false, may_end = false;
__attribute__((noinline)) void WaitInAThread() {
  std::unique_lock lock(mutex);
  waits = true;
  changed.notify_all();
  changed.wait(lock, [] { return may_end; });
}
__attribute__((noinline)) void AskForStacks() {
  raise(SIGQUIT);
  asm volatile("");
}

}  // namespace stacks
namespace {

using stacks::AskForStacks;

class StackDumpTest : public testing::Test {
 protected:
  StackDumpTest() {
    InstallStackDump();
    SetStackDumpFolder(folder_.path());
  }
  ~StackDumpTest() override {
    SetStackDumpFolder("");
    SetStackDumpHook(nullptr);
    SetStackDumpNotice(nullptr);
  }
  // The only dump there is.
  std::string Dump() {
    std::string text;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / "dumps")) text += *ReadFile(entry.path());
    return text;
  }
  static size_t Count(const std::string& text, const std::string& part) {
    size_t count = 0;
    for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
    return count;
  }

  TemporaryFolder folder_;
};

TEST_F(StackDumpTest, HoldsTheStacksOfAllThreadsAndTheProcessGoesOn) {
  std::thread thread(&stacks::WaitInAThread);
  {
    std::unique_lock lock(stacks::mutex);
    stacks::changed.wait(lock, [] { return stacks::waits; });
  }
  AskForStacks();
  {
    const std::lock_guard lock(stacks::mutex);
    stacks::may_end = true;
  }
  stacks::changed.notify_all();
  thread.join();
  const std::string text = Dump();
  EXPECT_NE(text.find("lanthorn::stacks::AskForStacks()"), std::string::npos) << text;
  EXPECT_NE(text.find("lanthorn::stacks::WaitInAThread()"), std::string::npos) << text;
  EXPECT_EQ(Count(text, ", the main one\n"), 1u);
  EXPECT_GE(Count(text, "\nthread "), 2u);
  EXPECT_EQ(text.substr(text.size() - 5), "\nend\n");
}

TEST_F(StackDumpTest, HasWhatTheHookAddsBehindThem) {
  SetStackDumpHook([](const int* fds, int count, const void* registers) {
    for (int i = 0; i < count; ++i) (void)!write(fds[i], registers != nullptr ? "more\n" : "none\n", 5);
  });
  AskForStacks();
  EXPECT_NE(Dump().find("more\nend\n"), std::string::npos);
}

TEST_F(StackDumpTest, AHookThatCrashesHarmsNobody) {
  SetStackDumpHook([](const int*, int, const void*) { std::abort(); });
  AskForStacks();
  EXPECT_NE(Dump().find("\nend\n"), std::string::npos);
}

int noticed = 0;
TEST_F(StackDumpTest, TellsThatItHappened) {
  SetStackDumpNotice([](int signal) { noticed = signal; });
  AskForStacks();
  EXPECT_EQ(noticed, SIGQUIT);
}

TEST_F(StackDumpTest, ALongFolderOrOneThatIsGoneIsNoProblem) {
  std::filesystem::remove_all(folder_.path());
  testing::internal::CaptureStderr();
  AskForStacks();
  SetStackDumpFolder(std::string(5000, 'x'));
  AskForStacks();
  EXPECT_EQ(Count(testing::internal::GetCapturedStderr(), "lanthorn::stacks::AskForStacks()"), 2u);
}

}  // namespace
}  // namespace lanthorn
