#include "engine/run/metrics/metrics_writer.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <ctime>
#include <limits>
#include <nlohmann/json.hpp>
#include <thread>

#include "engine/run/metrics/metrics_reader.h"
#include "tests/engine/temporary_folder.h"

namespace lanthorn {
namespace {

using nlohmann::json;
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

class MetricsWriterTest : public testing::Test {
 protected:
  std::unique_ptr<MetricsWriter> Open() { return *MetricsWriter::Open(path_); }
  std::vector<json> Lines() { return ReadMetrics(path_)->lines; }

  TemporaryFolder folder_;
  std::string path_ = folder_ / "metrics.jsonl";
};

TEST_F(MetricsWriterTest, EachLineIsTheObjectAndItsTime) {
  const auto writer = Open();
  ASSERT_TRUE(writer->Append({{"kind", "train"}, {"step", 1}, {"loss", 0.5}}).ok());
  ASSERT_TRUE(writer->Append({{"kind", "eval"}}).ok());
  const auto lines = Lines();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_NEAR(lines[0]["t"].get<double>(), static_cast<double>(std::time(nullptr)), 5);
  EXPECT_EQ(lines[0]["step"], 1);
  EXPECT_EQ(lines[0]["loss"], 0.5);
  EXPECT_FALSE(lines[0].contains("nonfinite"));
}

TEST_F(MetricsWriterTest, KeysAreSortedAndLinesHaveNoSpaces) {
  ASSERT_TRUE(Open()->Append({{"z", 1}, {"a", "b c"}}).ok());
  const std::string text = *ReadFile(path_);
  EXPECT_EQ(text.substr(0, 15), R"({"a":"b c","t":)");
  EXPECT_EQ(text.substr(text.size() - 8), ",\"z\":1}\n");
}

TEST_F(MetricsWriterTest, NumbersThatAreNotFiniteBecomeNullAndAreNamed) {
  ASSERT_TRUE(Open()
                  ->Append({{"loss", kNan},
                            {"lr", 0.1},
                            {"grad_norm", kInf},
                            {"phase_ms", {{"data", -kInf}, {"fwd", 1.5}}},
                            {"xs", {1.0, -kNan}}})
                  .ok());
  const json line = Lines()[0];
  EXPECT_TRUE(line["loss"].is_null());
  EXPECT_TRUE(line["phase_ms"]["data"].is_null());
  EXPECT_EQ(line["phase_ms"]["fwd"], 1.5);
  EXPECT_EQ(line["nonfinite"],
            (json{{"loss", "nan"}, {"grad_norm", "inf"}, {"phase_ms.data", "-inf"}, {"xs.2", "nan"}}));
}

TEST_F(MetricsWriterTest, TextThatIsNotUtf8IsReplaced) {
  ASSERT_TRUE(Open()->Append({{"message", "a\xff"}}).ok());
  EXPECT_EQ(Lines()[0]["message"], "a\xef\xbf\xbd");
}

TEST_F(MetricsWriterTest, OnlyObjectsAreLines) { EXPECT_FALSE(Open()->Append(json::array({1})).ok()); }

TEST_F(MetricsWriterTest, ReopeningAppendsAndCutsATornLastLine) {
  const std::string torn = "{\"a\":1}\n{\"loss\":" + std::string(10000, '1');
  ASSERT_TRUE(WriteFileAtomic(path_, torn).ok());
  ASSERT_TRUE(Open()->Append({{"b", 2}}).ok());
  const auto lines = Lines();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["a"], 1);
  EXPECT_EQ(lines[1]["b"], 2);
}

TEST_F(MetricsWriterTest, AFileOfOnlyATornLineBecomesEmpty) {
  ASSERT_TRUE(WriteFileAtomic(path_, "{\"a\"").ok());
  Open();
  EXPECT_EQ(*ReadFile(path_), "");
}

TEST_F(MetricsWriterTest, ThreadsAndWritersNeverMixWithinALine) {
  const auto first = Open(), second = Open();
  std::vector<std::thread> threads;
  for (int k = 0; k < 4; ++k) {
    threads.emplace_back([&, k] {
      for (int i = 0; i < 200; ++i) {
        EXPECT_TRUE((k % 2 ? first : second)->Append({{"thread", k}, {"text", std::string(300, 'x')}}).ok());
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(Lines().size(), 800u);
}

TEST_F(MetricsWriterTest, ALineCutByAFullDiskIsAnErrorAndIsRemoved) {
  const auto writer = Open();
  ASSERT_TRUE(writer->Append({{"a", 1}}).ok());
  const std::string whole = *ReadFile(path_);
  // A file size limit stands in for the full disk: write(2) stores what fits and returns a short count.
  rlimit old_limit;
  getrlimit(RLIMIT_FSIZE, &old_limit);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{whole.size() + 10, old_limit.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const absl::Status status = writer->Append({{"a", std::string(100, 'x')}});
  setrlimit(RLIMIT_FSIZE, &old_limit);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(ExitCodeOf(status), ExitCode::kMachine);
  EXPECT_EQ(*ReadFile(path_), whole);
  EXPECT_TRUE(writer->Append({{"a", 2}}).ok());
  EXPECT_EQ(Lines().size(), 2u);
}

TEST_F(MetricsWriterTest, AnUnwritablePlaceIsAMachineError) {
  EXPECT_EQ(ExitCodeOf(MetricsWriter::Open("/dev/null/x").status()), ExitCode::kMachine);
}

// Keeps the lines it is given; refuses them when told to.
struct KeptLines final : MetricsSink {
  absl::Status Write(const json& line) override {
    if (full) return MachineError("the sink is full");
    lines.push_back(line);
    return absl::OkStatus();
  }
  std::vector<json> lines;
  bool full = false;
};

TEST_F(MetricsWriterTest, ASinkGetsTheLinesAppendedAfterItWithTimeAndNaN) {
  const auto writer = Open();
  const auto sink = std::make_shared<KeptLines>();
  ASSERT_TRUE(writer->Append({{"step", 1}}).ok());
  ASSERT_TRUE(writer->AddSink(sink).ok());
  ASSERT_TRUE(writer->Append({{"step", 2}, {"loss", kNan}}).ok());
  ASSERT_EQ(sink->lines.size(), 1u);
  EXPECT_TRUE(std::isnan(sink->lines[0]["loss"].get<double>()));
  EXPECT_EQ(sink->lines[0]["t"], Lines()[1]["t"]);
  EXPECT_FALSE(sink->lines[0].contains("nonfinite"));
}

TEST_F(MetricsWriterTest, ASinkThatComesAfterAResumeGetsItFirst) {
  const auto writer = Open();
  const auto sink = std::make_shared<KeptLines>();
  ASSERT_TRUE(writer->Append({{"kind", "event"}, {"event", "resume"}, {"step", 5}}).ok());
  ASSERT_TRUE(writer->AddSink(sink).ok());
  ASSERT_EQ(sink->lines.size(), 1u);
  EXPECT_EQ(sink->lines[0]["step"], 5);
}

TEST_F(MetricsWriterTest, AnErrorOfASinkIsReturnedAndTheLineStays) {
  const auto writer = Open();
  const auto sink = std::make_shared<KeptLines>();
  ASSERT_TRUE(writer->AddSink(sink).ok());
  sink->full = true;
  EXPECT_FALSE(writer->Append({{"step", 1}}).ok());
  EXPECT_EQ(Lines().size(), 1u);
}

}  // namespace
}  // namespace lanthorn
