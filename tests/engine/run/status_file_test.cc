#include "engine/run/status_file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "engine/base/files/files.h"
#include "tests/engine/temporary_folder.h"

namespace lanthorn {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
constexpr milliseconds kNever(3'600'000);

class StatusFileTest : public testing::Test {
 protected:
  std::unique_ptr<StatusFile> Start(milliseconds period) {
    auto file = StatusFile::Start(path_, {{"state", "RUNNING"}, {"phase", "load"}, {"step", 0}}, period);
    return file.ok() ? *std::move(file) : nullptr;
  }
  json Read() { return json::parse(*ReadFile(path_)); }
  // Waits until the file says so, at most 20 s.
  bool Eventually(const std::function<bool()>& condition) {
    for (int i = 0; i < 2000; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(milliseconds(10));
    }
    return false;
  }

  TemporaryFolder folder_;
  std::string path_ = folder_ / "status.json";
};

TEST_F(StatusFileTest, TheFileExistsFromTheStart) {
  const auto file = Start(kNever);
  EXPECT_EQ(Read()["phase"], "load");
  EXPECT_EQ(Read()["heartbeat"].get<std::string>().size(), 24u);
}

TEST_F(StatusFileTest, TheHeartbeatGoesOnWithoutUpdates) {
  const auto file = Start(milliseconds(5));
  const json first = Read();
  EXPECT_TRUE(Eventually([&] { return Read()["heartbeat"] > first["heartbeat"]; }));
}

TEST_F(StatusFileTest, UpdatesAreWrittenAtTheNextBeat) {
  const auto file = Start(milliseconds(5));
  ASSERT_TRUE(file->Update({{"step", 7}}).ok());
  EXPECT_TRUE(Eventually([&] { return Read()["step"] == 7; }));
  EXPECT_EQ(Read()["phase"], "load");
}

TEST_F(StatusFileTest, APhaseOrStateChangeIsWrittenAtOnce) {
  const auto file = Start(kNever);
  ASSERT_TRUE(file->Update({{"step", 3}, {"phase", "load"}}).ok());
  EXPECT_EQ(Read()["step"], 0);
  ASSERT_TRUE(file->Update({{"phase", "train"}}).ok());
  EXPECT_EQ(Read()["step"], 3);
  EXPECT_EQ(Read()["phase"], "train");
  ASSERT_TRUE(file->Update({{"state", "FAILED"}}).ok());
  EXPECT_EQ(Read()["state"], "FAILED");
}

TEST_F(StatusFileTest, StopWritesOnceMoreAndEndsTheThread) {
  const auto file = Start(milliseconds(1));
  ASSERT_TRUE(file->Stop({{"state", "FINISHED"}}).ok());
  EXPECT_EQ(Read()["state"], "FINISHED");
  std::filesystem::remove(path_);
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(StatusFileTest, DestructionLeavesTheFileAsItWas) {
  Start(kNever);
  EXPECT_EQ(Read()["state"], "RUNNING");
}

TEST_F(StatusFileTest, AnErrorOfTheThreadIsReturnedByALaterUpdateOnce) {
  const auto file = Start(milliseconds(1));
  // A folder in the way of the temporary file; made between two beats, when no such file is there.
  std::error_code exists;
  ASSERT_TRUE(Eventually([&] { return std::filesystem::create_directory(path_ + ".tmp", exists); }));
  absl::Status status;
  EXPECT_TRUE(Eventually([&] { return !(status = file->Update({{"step", 1}})).ok(); }));
  EXPECT_EQ(ExitCodeOf(status), ExitCode::kMachine);
  std::filesystem::remove(path_ + ".tmp");
  EXPECT_TRUE(Eventually([&] { return file->Update({{"step", 2}}).ok() && Read()["step"] == 2; }));
}

TEST_F(StatusFileTest, ReadersNeverSeeHalfAFile) {
  const auto file = Start(milliseconds(1));
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(file->Update({{"phase", i % 2 ? "train" : "eval"}, {"message", std::string(i * 50, 'x')}}).ok());
    ASSERT_FALSE(json::parse(*ReadFile(path_), nullptr, false).is_discarded());
  }
}

TEST_F(StatusFileTest, ALossThatIsNotFiniteIsNull) {
  const auto file = Start(kNever);
  ASSERT_TRUE(file->Update({{"loss", std::nan("")}, {"phase", "train"}}).ok());
  EXPECT_TRUE(Read()["loss"].is_null());
}

TEST_F(StatusFileTest, AnUnwritablePlaceIsAMachineError) {
  EXPECT_EQ(ExitCodeOf(StatusFile::Start("/dev/null/x", json::object(), kNever).status()), ExitCode::kMachine);
}

}  // namespace
}  // namespace lanthorn
