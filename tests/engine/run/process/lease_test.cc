#include "engine/run/process/lease.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "engine/base/files/files.h"
#include "engine/run/process/process_identity.h"
#include "tests/engine/temporary_folder.h"

namespace lanthorn {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

json LeaseOf(const std::string& folder, int number) {
  return json::parse(*ReadFile(ClaimFolder(folder, number) + "/lease.json"));
}

TEST(LeaseTest, AFolderThatNobodyTookHasNoClaim) {
  TemporaryFolder folder;
  EXPECT_EQ(ReadClaim(folder.path()).number, 0);
  EXPECT_EQ(ReadClaim(folder.path() + "/none").number, 0);
}

TEST(LeaseTest, OneProcessHasAClaimUntilItEnds) {
  TemporaryFolder folder;
  auto lease = Lease::Take(folder.path(), 1);
  ASSERT_TRUE(lease.ok()) << lease.status();
  ASSERT_NE(*lease, nullptr);
  const Claim claim = ReadClaim(folder.path());
  EXPECT_EQ(claim.number, 1);
  EXPECT_EQ(claim.pid, getpid());
  EXPECT_EQ(claim.host, HostName());
  EXPECT_TRUE(claim.alive);
  EXPECT_EQ(claim.exit, "");
  const auto second = Lease::Take(folder.path(), 1);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(*second, nullptr) << "the claim was taken twice";
  ASSERT_TRUE((*lease)->End("{\"code\":0}").ok());
  EXPECT_EQ(ReadClaim(folder.path()).exit, "{\"code\":0}");
  EXPECT_FALSE(ReadClaim(folder.path()).alive);
}

TEST(LeaseTest, ARefusedClaimLeavesNothingBehind) {
  TemporaryFolder folder;
  const auto lease = Lease::Take(folder.path(), 1);
  (void)Lease::Take(folder.path(), 1);
  int entries = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    EXPECT_EQ(entry.path().filename(), "claim-1");
    ++entries;
  }
  EXPECT_EQ(entries, 1);
}

TEST(LeaseTest, AClaimOfAKilledProcessIsNotAlive) {
  TemporaryFolder folder;
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    const auto lease = Lease::Take(folder.path(), 1);
    const char done = lease.ok() && *lease ? 'y' : 'n';
    (void)!write(ready[1], &done, 1);
    pause();
    _exit(0);
  }
  char done = 0;
  ASSERT_EQ(read(ready[0], &done, 1), 1);
  ASSERT_EQ(done, 'y');
  EXPECT_TRUE(ReadClaim(folder.path()).alive);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  const Claim claim = ReadClaim(folder.path());
  EXPECT_EQ(claim.pid, child);
  EXPECT_FALSE(claim.alive);
  EXPECT_EQ(claim.exit, "");
  const auto next = Lease::Take(folder.path(), 2);
  ASSERT_TRUE(next.ok() && *next);
  EXPECT_EQ(ReadClaim(folder.path()).number, 2);
  close(ready[0]);
  close(ready[1]);
}

TEST(LeaseTest, TheTenthClaimIsNewerThanTheNinth) {
  TemporaryFolder folder;
  for (const int number : {9, 10}) {
    const auto lease = Lease::Take(folder.path(), number);
    ASSERT_TRUE(lease.ok() && *lease);
  }
  EXPECT_EQ(ReadClaim(folder.path()).number, 10);
}

TEST(LeaseTest, OfAnotherMachineALeaseIsAliveUntilItExpires) {
  TemporaryFolder folder;
  {
    const auto lease = Lease::Take(folder.path(), 1);
    ASSERT_TRUE(lease.ok() && *lease);
  }
  json lease = LeaseOf(folder.path(), 1);
  lease["host"] = "another";
  const std::string path = ClaimFolder(folder.path(), 1) + "/lease.json";
  lease["expires"] = UnixNow() + 60;
  ASSERT_TRUE(WriteFileAtomic(path, lease.dump()).ok());
  EXPECT_TRUE(ReadClaim(folder.path()).alive);
  lease["expires"] = UnixNow() - 1;
  ASSERT_TRUE(WriteFileAtomic(path, lease.dump()).ok());
  EXPECT_FALSE(ReadClaim(folder.path()).alive);
}

TEST(LeaseTest, OfTwoProcessesOfOneJobTheFirstIsGone) {
  TemporaryFolder folder;
  setenv("RUNNER_JOB", "17", 1);
  {
    const auto lease = Lease::Take(folder.path(), 1);
    ASSERT_TRUE(lease.ok() && *lease);
    EXPECT_TRUE(ReadClaim(folder.path()).alive) << "its own";
  }
  json lease = LeaseOf(folder.path(), 1);
  EXPECT_EQ(lease["job"], "17");
  lease["host"] = "another";  // where the job ran before it was started again here
  lease["pid"] = 1;
  const std::string path = ClaimFolder(folder.path(), 1) + "/lease.json";
  ASSERT_TRUE(WriteFileAtomic(path, lease.dump()).ok());
  EXPECT_FALSE(ReadClaim(folder.path()).alive);
  setenv("RUNNER_JOB", "18", 1);
  EXPECT_TRUE(ReadClaim(folder.path()).alive) << "another job's";
  unsetenv("RUNNER_JOB");
}

TEST(LeaseTest, ALeaseIsRenewed) {
  TemporaryFolder folder;
  const auto lease = Lease::Take(folder.path(), 1, milliseconds(5));
  ASSERT_TRUE(lease.ok() && *lease);
  const double first = LeaseOf(folder.path(), 1)["expires"];
  for (int i = 0; i < 2000 && LeaseOf(folder.path(), 1)["expires"] == first; ++i)
    std::this_thread::sleep_for(milliseconds(5));
  EXPECT_GT(LeaseOf(folder.path(), 1)["expires"].get<double>(), first);
}

TEST(LeaseTest, AFolderThatCannotBeWrittenIsAMachineError) {
  const auto lease = Lease::Take("/proc/nowhere", 1);
  ASSERT_FALSE(lease.ok());
  EXPECT_NE(std::string(lease.status().message()).find("cannot make folder"), std::string::npos) << lease.status();
}

}  // namespace
}  // namespace lanthorn
