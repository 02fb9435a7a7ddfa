#include "engine/run/metrics/tensorboard_writer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/run/metrics/event_file.pb.h"
#include "tests/engine/temporary_folder.h"

namespace lanthorn {
namespace {

using event_file::Event;
using event_file::SessionLog;
using nlohmann::json;

std::string Hex(std::string_view bytes) {
  std::string hex;
  for (const char c : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    hex += {kDigits[static_cast<unsigned char>(c) / 16], kDigits[static_cast<unsigned char>(c) % 16]};
  }
  return hex;
}

class TensorBoardWriterTest : public testing::Test {
 protected:
  // The events of a file; its lengths are believed, its checksums are tested by a reader of its own
  // (tests/scripts/runs/tensorboard_test.lua).
  std::vector<Event> Events() {
    const std::string text = *ReadFile(path_);
    std::vector<Event> events;
    for (size_t at = 0; at < text.size();) {
      const auto size =
          static_cast<size_t>(static_cast<unsigned char>(text[at]) + 256 * static_cast<unsigned char>(text[at + 1]));
      Event event;
      EXPECT_TRUE(event.ParseFromString(text.substr(at + 12, size)));
      events.push_back(event);
      at += size + 16;
    }
    return events;
  }
  // The scalars that a line becomes.
  std::map<std::string, float> Scalars(const json& line) {
    std::filesystem::remove(path_);
    const auto writer = TensorBoardWriter::Create(path_, 1);
    EXPECT_TRUE((*writer)->Write(line).ok());
    std::map<std::string, float> scalars;
    const std::vector<Event> events = Events();
    for (size_t i = 1; i < events.size(); ++i) {
      for (const auto& value : events[i].summary().value()) scalars[value.tag()] = value.simple_value();
    }
    return scalars;
  }

  TemporaryFolder folder_;
  std::string path_ = folder_ / "events";
};

TEST_F(TensorBoardWriterTest, ChecksumsHaveTheKnownAnswers) {
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(MaskedCrc32c("123456789"), 0xc78ab0e5u);
  EXPECT_EQ(Crc32c(""), 0u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);  // RFC 3720, B.4
}

TEST_F(TensorBoardWriterTest, FilesAreNamedByTimeHostProcessAndAttempt) {
  EXPECT_EQ(EventFileName(1795264999, "node-7", 4711, 2), "events.out.tfevents.1795264999.node-7.4711.2");
  EXPECT_EQ(EventFileName(5, "h", 1, 1), "events.out.tfevents.0000000005.h.1.1");
}

// Put together by hand: Event{wall_time = 1.5, file_version} is field 1 as a double (09, bytes of 1.5) and field 3 as
// text (1a 0d, "brain.Event:2"), 24 bytes; the checksums are those of the bit-by-bit function of
// scripts/testing/event_file.lua.
TEST_F(TensorBoardWriterTest, TheFirstRecordIsTheVersionInTheseBytes) {
  ASSERT_TRUE(TensorBoardWriter::Create(path_, 1.5).ok());
  EXPECT_EQ(Hex(*ReadFile(path_)),
            "1800000000000000"
            "a37f4b22"
            "09000000000000f83f"
            "1a0d"
            "627261696e2e4576656e743a32"
            "2a28646c");
}

TEST_F(TensorBoardWriterTest, NumbersOfATrainLineAreScalarsAtItsStepAndTime) {
  const auto writer = *TensorBoardWriter::Create(path_, 1);
  ASSERT_TRUE(writer
                  ->Write({{"kind", "train"},
                           {"t", 2.5},
                           {"step", 7},
                           {"loss", 0.5},
                           {"tokens_backprop", 64},
                           {"phase_ms", {{"forward", 3.5}}},
                           {"tscore", nullptr},
                           {"tscore_status", "N = 1"},
                           {"tscore_sample_sq", {1.0, 2.0}}})
                  .ok());
  const std::vector<Event> events = Events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].file_version(), "brain.Event:2");
  EXPECT_EQ(events[1].step(), 7);
  EXPECT_EQ(events[1].wall_time(), 2.5);
  EXPECT_EQ(events[1].summary().value_size(), 3);
  EXPECT_EQ(Scalars({{"kind", "train"}, {"t", 1}, {"step", 7}, {"loss", 0.5}, {"phase_ms", {{"forward", 3.5}}}}),
            (std::map<std::string, float>{{"train/loss", 0.5F}, {"phase_ms/forward", 3.5F}}));
}

TEST_F(TensorBoardWriterTest, EvalLinesAreNamedByTheirSplitAndEpochsByTheirEvent) {
  EXPECT_EQ(Scalars({{"kind", "eval"}, {"t", 1}, {"step", 2}, {"split", "val"}, {"loss", 1.5}}),
            (std::map<std::string, float>{{"eval/val/loss", 1.5F}}));
  EXPECT_EQ(Scalars({{"kind", "event"}, {"event", "epoch"}, {"t", 1}, {"step", 2}, {"val_loss", 1.5}, {"best", true}}),
            (std::map<std::string, float>{{"epoch/val_loss", 1.5F}}));
}

TEST_F(TensorBoardWriterTest, NumbersThatAreNotFiniteAreWrittenAsTheyAre) {
  const auto scalars = Scalars({{"kind", "train"},
                                {"t", 1},
                                {"step", 2},
                                {"loss", std::numeric_limits<double>::quiet_NaN()},
                                {"grad_norm", std::numeric_limits<double>::infinity()}});
  EXPECT_TRUE(std::isnan(scalars.at("train/loss")));
  EXPECT_TRUE(std::isinf(scalars.at("train/grad_norm")));
}

TEST_F(TensorBoardWriterTest, OtherEventsAndLinesWithoutAStepLeaveNothing) {
  EXPECT_TRUE(Scalars({{"kind", "event"}, {"event", "guard"}, {"t", 1}, {"step", 2}, {"value", 3}}).empty());
  EXPECT_TRUE(Scalars({{"kind", "train"}, {"t", 1}, {"loss", 3}}).empty());
  EXPECT_EQ(Events().size(), 1u);
}

TEST_F(TensorBoardWriterTest, AResumeStartsTheSessionAtTheFirstStepOfTheAttempt) {
  const auto writer = *TensorBoardWriter::Create(path_, 1);
  ASSERT_TRUE(writer->Write({{"kind", "event"}, {"event", "resume"}, {"t", 3}, {"step", 40}}).ok());
  const Event start = Events()[1];
  EXPECT_EQ(start.session_log().status(), SessionLog::START);
  EXPECT_EQ(start.step(), 41);
  EXPECT_EQ(start.wall_time(), 3);
}

TEST_F(TensorBoardWriterTest, AFileThatExistsIsRefusedAndKept) {
  ASSERT_TRUE(TensorBoardWriter::Create(path_, 1).ok());
  const std::string before = *ReadFile(path_);
  const auto again = TensorBoardWriter::Create(path_, 2);
  EXPECT_EQ(ExitCodeOf(again.status()), ExitCode::kMachine);
  EXPECT_EQ(*ReadFile(path_), before);
}

TEST_F(TensorBoardWriterTest, ARunFillsTheFileOfItsAttemptFromThenOn) {
  const auto run = *RunDirectory::Claim(folder_ / "results", "demo");
  ASSERT_TRUE(run->LogMetrics({{"kind", "train"}, {"step", 1}, {"loss", 0.5}}).ok());
  path_ = *AttachTensorBoard(run.get());
  EXPECT_EQ(path_.rfind(run->path() + "/events.out.tfevents.", 0), 0u);
  EXPECT_EQ(path_.substr(path_.size() - 2), ".1");
  ASSERT_TRUE(run->LogMetrics({{"kind", "train"}, {"step", 2}, {"loss", 0.25}}).ok());
  const std::vector<Event> events = Events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[1].step(), 2);
}

TEST_F(TensorBoardWriterTest, TheResumeOfAnAttemptComesFirstThoughTheFileIsOpenedAfterIt) {
  auto run = *RunDirectory::Claim(folder_ / "results", "demo");
  const std::string folder = run->path();
  ASSERT_TRUE(run->WriteManifest(json::object()).ok());
  ASSERT_TRUE(run->Finish({.state = "INTERRUPTED", .code = 130}).ok());
  run.reset();
  run = *RunDirectory::Reopen(folder);
  ASSERT_TRUE(run->LogMetrics({{"kind", "event"}, {"event", "resume"}, {"step", 8}}).ok());
  path_ = *AttachTensorBoard(run.get());
  EXPECT_EQ(path_.substr(path_.size() - 2), ".2");
  ASSERT_TRUE(run->LogMetrics({{"kind", "train"}, {"step", 9}, {"loss", 0.25}}).ok());
  const std::vector<Event> events = Events();
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[1].session_log().status(), SessionLog::START);
  EXPECT_EQ(events[1].step(), 9);
  EXPECT_EQ(events[2].summary().value(0).tag(), "train/loss");
}

}  // namespace
}  // namespace lanthorn
