#include "engine/run/process/claim.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <thread>

#include "engine/base/files/files.h"
#include "tests/engine/temporary_folder.h"

namespace lanthorn {
namespace {

TEST(ClaimTest, GoodExperimentNamesAreAccepted) {
  for (const std::string& name :
       {std::string("a"), std::string("7"), std::string("shakespeare_30ep"), std::string("a-b_c"),
        std::string("sweeper"), std::string("latest2"), std::string(64, 'x')}) {
    EXPECT_TRUE(CheckExperimentName(name).ok()) << name;
  }
}

TEST(ClaimTest, BadExperimentNamesAreConfigErrors) {
  for (const std::string& name :
       {std::string(""), std::string("A"), std::string("_a"), std::string("-a"), std::string("a.lua"),
        std::string("a/b"), std::string(".."), std::string("a b"), std::string("\xc3\xa9"), std::string("latest"),
        std::string("sweep-1"), std::string(65, 'x'), std::string("a\0b", 3)}) {
    EXPECT_EQ(ExitCodeOf(CheckExperimentName(name)), ExitCode::kConfig) << name;
  }
}

TEST(ClaimTest, RunIdsAreTimeAndSixHexDigits) {
  EXPECT_TRUE(IsRunId("20261121-101500-0a9f3c"));
  for (const char* name : {"", "latest", "20261121-101500-0a9f3", "20261121-101500-0a9f3cc", "20261121-101500-0a9f3G",
                           "20261121_101500-0a9f3c", "2026112a-101500-0a9f3c", "sweep-20261121-101500-0"}) {
    EXPECT_FALSE(IsRunId(name)) << name;
  }
  EXPECT_TRUE(IsRunId("20261121-101500-" + DrawHex()));
}

TEST(ClaimTest, ATakenIdIsDrawnAgain) {
  TemporaryFolder folder;
  int draws = 0;
  const auto draw = [&] { return ++draws < 3 ? "aaaaaa" : "bbbbbb"; };
  EXPECT_EQ(*ClaimRunId(folder.path(), "20261121-101500", draw), "20261121-101500-aaaaaa");
  EXPECT_EQ(*ClaimRunId(folder.path(), "20261121-101500", draw), "20261121-101500-bbbbbb");
  EXPECT_EQ(draws, 3);
  EXPECT_EQ(ExitCodeOf(ClaimRunId(folder.path(), "20261121-101500", draw).status()), ExitCode::kMachine);
}

TEST(ClaimTest, FiftyThreadsGetFiftyFolders) {
  TemporaryFolder folder;
  std::vector<std::string> ids(50);
  std::vector<std::thread> threads;
  for (auto& id : ids) {
    threads.emplace_back([&folder, &id] {
      // Two hex digits are random, so that some of the draws collide.
      const auto claimed = ClaimRunId(folder.path(), "20261121-101500", [] { return "0000" + DrawHex().substr(4); });
      if (claimed.ok()) id = *claimed;
      EXPECT_TRUE(UpdateLatest(folder.path()).ok());
    });
  }
  for (auto& thread : threads) thread.join();
  const std::set<std::string> different(ids.begin(), ids.end());
  EXPECT_EQ(different.size(), 50u);
  EXPECT_EQ(different.count(""), 0u);
  EXPECT_EQ(std::filesystem::read_symlink(folder / "latest"), *different.rbegin());
}

TEST(ClaimTest, LatestIsARelativeLinkToTheNewestId) {
  TemporaryFolder folder;
  EXPECT_TRUE(UpdateLatest(folder.path()).ok());
  EXPECT_FALSE(std::filesystem::exists(folder / "latest"));
  std::filesystem::create_directory(folder / "20261121-101500-aaaaaa");
  std::filesystem::create_directory(folder / "sweep-x");
  ASSERT_TRUE(UpdateLatest(folder.path()).ok());
  EXPECT_EQ(std::filesystem::read_symlink(folder / "latest"), "20261121-101500-aaaaaa");
  std::filesystem::create_directory(folder / "20261122-000000-000000");
  std::filesystem::create_directory(folder / "20251122-000000-ffffff");
  ASSERT_TRUE(UpdateLatest(folder.path()).ok());
  EXPECT_EQ(std::filesystem::read_symlink(folder / "latest"), "20261122-000000-000000");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), std::filesystem::directory_iterator()),
            5);
}

TEST(ClaimTest, AFolderInTheWayOfLatestIsAMachineErrorAndLeavesNoTemporaryLink) {
  TemporaryFolder folder;
  std::filesystem::create_directory(folder / "20261121-101500-aaaaaa");
  std::filesystem::create_directory(folder / "latest");
  EXPECT_EQ(ExitCodeOf(UpdateLatest(folder.path())), ExitCode::kMachine);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), std::filesystem::directory_iterator()),
            2);
}

}  // namespace
}  // namespace lanthorn
