#include "engine/run/process/git.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "engine/base/files/files.h"
#include "tests/engine/temporary_folder.h"

namespace lanthorn {
namespace {

class GitTest : public testing::Test {
 protected:
  bool Git(const std::string& arguments) {
    return std::system(
               ("cd " + folder_.path() + " && git -c user.name=t -c user.email=t@t " + arguments + " >/dev/null 2>&1")
                   .c_str()) == 0;
  }
  void Commit() {
    ASSERT_TRUE(Git("init -q -b trunk"));
    ASSERT_TRUE(WriteFileAtomic(folder_ / "a.lua", "one\n").ok());
    ASSERT_TRUE(Git("add a.lua") && Git("commit -q -m first"));
  }
  TemporaryFolder folder_;
};

TEST_F(GitTest, AFolderWithoutRepositoryOrCommitHasNoState) {
  EXPECT_TRUE(GitState(folder_.path()).is_null());
  EXPECT_TRUE(GitState("/nowhere").is_null());
  ASSERT_TRUE(Git("init -q"));
  EXPECT_TRUE(GitState(folder_.path()).is_null());
  EXPECT_EQ(GitDiff(folder_.path(), 100), "");
}

TEST_F(GitTest, ACleanCheckoutHasCommitAndBranch) {
  Commit();
  const auto state = GitState(folder_.path());
  EXPECT_EQ(state["commit"].get<std::string>().size(), 40u);
  EXPECT_EQ(state["branch"], "trunk");
  EXPECT_EQ(state["dirty"], false);
  ASSERT_TRUE(WriteFileAtomic(folder_ / "untracked", "x").ok());
  EXPECT_EQ(GitState(folder_.path())["dirty"], false);
}

TEST_F(GitTest, ChangedFilesAreDirtyAndInTheDiffUpToItsLimit) {
  Commit();
  ASSERT_TRUE(WriteFileAtomic(folder_ / "a.lua", "two\n").ok());
  EXPECT_EQ(GitState(folder_.path())["dirty"], true);
  const std::string diff = GitDiff(folder_.path(), 1 << 20);
  EXPECT_NE(diff.find("-one\n+two\n"), std::string::npos) << diff;
  EXPECT_EQ(GitDiff(folder_.path(), 10), diff.substr(0, 10));
}

TEST_F(GitTest, ADetachedHeadHasNoBranch) {
  Commit();
  ASSERT_TRUE(Git("checkout -q --detach"));
  EXPECT_TRUE(GitState(folder_.path())["branch"].is_null());
}

}  // namespace
}  // namespace lanthorn
