#include "engine/run/process/attempt.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/base/files/files.h"
#include "engine/run/process/machine.h"
#include "tests/engine/temporary_folder.h"

namespace lanthorn {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

class AttemptTest : public testing::Test {
 protected:
  std::string run() const { return folder_.path(); }
  void Put(const std::string& name, const json& value) const { std::ofstream(folder_ / name) << value.dump(); }
  // Claims in a child process that ends at once; gives its exit status.
  int ClaimInChild() const {
    const pid_t child = fork();
    if (child == 0) _exit(ClaimAttempt(run()).ok() ? 0 : 1);
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return WEXITSTATUS(status);
  }

  TemporaryFolder folder_;
};

TEST_F(AttemptTest, ALiveRunIsRefusedWithItsProcess) {
  EXPECT_EQ(*ClaimAttempt(run()), 1);
  const auto owner = OwnerOfRun(run());
  ASSERT_TRUE(owner);
  EXPECT_EQ(owner->pid, getpid());
  const auto second = ClaimAttempt(run());
  EXPECT_EQ(ExitCodeOf(second.status()), ExitCode::kCheckpoint);
  EXPECT_NE(MessageOf(second.status()).find("is in use by process " + std::to_string(getpid())), std::string::npos);
  EXPECT_FALSE(fs::exists(folder_ / ".attempt-2"));
}

TEST_F(AttemptTest, ARunWhoseProcessIsGoneIsTakenOver) {
  EXPECT_EQ(ClaimInChild(), 0);
  EXPECT_FALSE(OwnerOfRun(run()));
  EXPECT_EQ(*ClaimAttempt(run()), 2);
}

TEST_F(AttemptTest, AnotherProcessWithTheSameNumberIsNotTheOwner) {
  EXPECT_EQ(ClaimInChild(), 0);
  json owner = json::parse(*ReadFile(folder_ / ".attempt-1/owner.json"));
  owner["pid"] = getpid();  // the number was given anew: it began at another time
  Put(".attempt-1/owner.json", owner);
  EXPECT_FALSE(OwnerOfRun(run()));
}

TEST_F(AttemptTest, ARunThatEndedIsTakenOverAndItsExitIsKept) {
  EXPECT_EQ(*ClaimAttempt(run()), 1);
  Put("exit.json", {{"attempt", 1}, {"state", "TIMEOUT"}});
  EXPECT_FALSE(OwnerOfRun(run()));
  EXPECT_EQ(*ClaimAttempt(run()), 2);
  EXPECT_FALSE(fs::exists(folder_ / "exit.json"));
  EXPECT_TRUE(fs::exists(folder_ / "exit.1.json"));
}

TEST_F(AttemptTest, TheExitOfAnEarlierAttemptDoesNotEndTheOneThatTakesOver) {
  EXPECT_EQ(*ClaimAttempt(run()), 1);
  Put("exit.json", {{"attempt", 1}});
  EXPECT_EQ(*ClaimAttempt(run()), 2);
  Put("exit.json", {{"attempt", 1}});  // as seen between its mkdir and its rename
  EXPECT_FALSE(ClaimAttempt(run()).ok());
}

TEST_F(AttemptTest, OnAnotherMachineTheHeartbeatDecides) {
  EXPECT_EQ(ClaimInChild(), 0);
  json owner = json::parse(*ReadFile(folder_ / ".attempt-1/owner.json"));
  owner["host"] = "elsewhere";
  Put(".attempt-1/owner.json", owner);
  Put("status.json", json::object());
  ASSERT_TRUE(OwnerOfRun(run()));
  EXPECT_NE(MessageOf(ClaimAttempt(run()).status()).find(" on elsewhere;"), std::string::npos);
  fs::last_write_time(folder_ / "status.json", fs::file_time_type::clock::now() - std::chrono::seconds(200));
  EXPECT_FALSE(OwnerOfRun(run()));
}

TEST_F(AttemptTest, OfManyAtOnceOneWins) {
  for (int round = 0; round < 10; ++round) {
    fs::remove_all(run());
    fs::create_directory(run());
    EXPECT_EQ(ClaimInChild(), 0);
    int gate[2];
    ASSERT_EQ(pipe(gate), 0);
    std::vector<pid_t> children;
    for (int i = 0; i < 8; ++i) {
      children.push_back(fork());
      if (children.back() != 0) continue;
      close(gate[1]);
      char byte;
      (void)!read(gate[0], &byte, 1);  // until the parent lets all go
      const bool won = ClaimAttempt(run()).ok();
      if (won) usleep(300'000);  // a live owner while the others try
      _exit(won ? 0 : 1);
    }
    close(gate[0]);
    close(gate[1]);
    int winners = 0;
    for (const pid_t child : children) {
      int status = 0;
      ASSERT_EQ(waitpid(child, &status, 0), child);
      winners += WEXITSTATUS(status) == 0;
    }
    EXPECT_EQ(winners, 1);
  }
}

}  // namespace
}  // namespace lanthorn
