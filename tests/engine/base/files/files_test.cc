#include "engine/base/files/files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/engine/temporary_folder.h"

namespace lanthorn {
namespace {

TEST(FilesTest, WritingThenReadingGivesTheSameBytes) {
  TemporaryFolder folder;
  const std::string contents("a\0b\n\xff", 5);
  ASSERT_TRUE(WriteFileAtomic(folder / "x", contents).ok());
  EXPECT_EQ(*ReadFile(folder / "x"), contents);
  ASSERT_TRUE(WriteFileAtomic(folder / "x", "").ok());
  EXPECT_EQ(*ReadFile(folder / "x"), "");
}

TEST(FilesTest, AnAtomicWriteLeavesNoTemporaryFile) {
  TemporaryFolder folder;
  ASSERT_TRUE(WriteFileAtomic(folder / "x", "1").ok());
  ASSERT_TRUE(WriteFileAtomic(folder / "x", "2", /*sync=*/false).ok());
  EXPECT_FALSE(std::filesystem::exists(folder / "x.tmp"));
  EXPECT_EQ(*ReadFile(folder / "x"), "2");
}

TEST(FilesTest, AnUncommittedAtomicFileLeavesTheOldContent) {
  TemporaryFolder folder;
  ASSERT_TRUE(WriteFileAtomic(folder / "x", "old").ok());
  {
    auto file = AtomicFile::Create(folder / "x");
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->Append("new", 3).ok());
    EXPECT_TRUE(std::filesystem::exists(folder / "x.tmp"));
  }
  EXPECT_EQ(*ReadFile(folder / "x"), "old");
  EXPECT_FALSE(std::filesystem::exists(folder / "x.tmp"));
}

TEST(FilesTest, AnUnwritablePlaceIsAMachineErrorThatNamesThePath) {
  const absl::Status status = WriteFileAtomic("/dev/null/x", "1");
  EXPECT_EQ(ExitCodeOf(status), ExitCode::kMachine);
  EXPECT_EQ(MessageOf(status), "'/dev/null/x': cannot write: Not a directory");
}

TEST(FilesTest, AFailedRenameIsReportedAndLeavesNoTemporaryFile) {
  TemporaryFolder folder;
  ASSERT_TRUE(EnsureDirectory(folder / "x").ok());
  const absl::Status status = WriteFileAtomic(folder / "x", "1");
  EXPECT_EQ(ExitCodeOf(status), ExitCode::kMachine);
  EXPECT_FALSE(std::filesystem::exists(folder / "x.tmp"));
}

TEST(FilesTest, AFullDiskIsAMachineError) {
  TemporaryFolder folder;
  std::filesystem::create_symlink("/dev/full", folder / "x.tmp");
  const absl::Status status = WriteFileAtomic(folder / "x", "1");
  EXPECT_EQ(ExitCodeOf(status), ExitCode::kMachine);
  EXPECT_NE(MessageOf(status).find("cannot write: No space left on device"), std::string::npos) << status;
}

TEST(FilesTest, AMissingFileIsADataError) {
  const auto contents = ReadFile("/nowhere/x");
  EXPECT_EQ(ExitCodeOf(contents.status()), ExitCode::kData);
  EXPECT_EQ(MessageOf(contents.status()), "'/nowhere/x': cannot read: No such file or directory");
  EXPECT_EQ(ExitCodeOf(Sha256File("/nowhere/x").status()), ExitCode::kData);
}

TEST(FilesTest, FoldersAndPipesAreRefusedInsteadOfBlocking) {
  TemporaryFolder folder;
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(MessageOf(ReadFile(folder / "pipe").status()),
            "'" + (folder / "pipe") + "': cannot read: not a regular file");
  EXPECT_EQ(ExitCodeOf(ReadFile(folder.path()).status()), ExitCode::kData);
}

TEST(FilesTest, FilesThatSaySizeZeroAreReadToTheirEnd) { EXPECT_GT(ReadFile("/proc/cpuinfo")->size(), 100u); }

TEST(FilesTest, EnsureDirectoryMakesParentsAndAcceptsAnExistingFolder) {
  TemporaryFolder folder;
  EXPECT_TRUE(EnsureDirectory(folder / "a/b/c").ok());
  EXPECT_TRUE(EnsureDirectory(folder / "a/b/c").ok());
  EXPECT_TRUE(std::filesystem::is_directory(folder / "a/b/c"));
}

TEST(FilesTest, AFileInTheWayOfAFolderIsAMachineError) {
  TemporaryFolder folder;
  ASSERT_TRUE(WriteFileAtomic(folder / "x", "1").ok());
  EXPECT_EQ(ExitCodeOf(EnsureDirectory(folder / "x")), ExitCode::kMachine);
  EXPECT_EQ(ExitCodeOf(EnsureDirectory(folder / "x/y")), ExitCode::kMachine);
}

TEST(FilesTest, Sha256MatchesThePublishedVectors) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(FilesTest, Sha256OfAFileIsThatOfItsContents) {
  TemporaryFolder folder;
  const std::string contents(3'000'001, 'a');  // more than one piece
  ASSERT_TRUE(WriteFileAtomic(folder / "x", contents).ok());
  EXPECT_EQ(*Sha256File(folder / "x"), Sha256Hex(contents));
}

TEST(FilesTest, TimesAreUtcWithMilliseconds) {
  std::string shape = UtcNow();
  for (char& c : shape) c = c >= '0' && c <= '9' ? 'd' : c;
  EXPECT_EQ(shape, "dddd-dd-ddTdd:dd:dd.dddZ") << UtcNow();
  EXPECT_GT(UtcNow(), "2024");
}

}  // namespace
}  // namespace lanthorn
