#include "engine/run/metrics/metrics_reader.h"

#include <gtest/gtest.h>

#include "engine/base/files/files.h"
#include "tests/engine/temporary_folder.h"

namespace lanthorn {
namespace {

class MetricsReaderTest : public testing::Test {
 protected:
  absl::StatusOr<Metrics> Read(const std::string& text) {
    EXPECT_TRUE(WriteFileAtomic(folder_ / "m", text).ok());
    return ReadMetrics(folder_ / "m");
  }
  TemporaryFolder folder_;
};

TEST_F(MetricsReaderTest, AnEmptyFileHasNoLines) {
  EXPECT_TRUE(Read("")->lines.empty());
  EXPECT_FALSE(Read("")->torn);
}

TEST_F(MetricsReaderTest, ATornLastLineIsLeftOutWhereverItIsCut) {
  const std::string whole = "{\"a\":1}\n", last = "{\"b\":{\"c\":[1,2]},\"d\":\"x\"}";
  for (size_t cut = 1; cut < last.size(); ++cut) {
    const auto metrics = Read(whole + last.substr(0, cut));
    ASSERT_TRUE(metrics.ok()) << metrics.status();
    EXPECT_EQ(metrics->lines.size(), 1u) << cut;
    EXPECT_TRUE(metrics->torn) << cut;
  }
  EXPECT_EQ(Read(whole + last)->lines.size(), 2u);
  EXPECT_EQ(Read(whole + last + "\n")->lines.size(), 2u);
}

TEST_F(MetricsReaderTest, DamageBeforeTheLastLineIsADataErrorWithItsLine) {
  const auto metrics = Read("{\"a\":1}\n{\"b\"\n{\"c\":3}\n");
  EXPECT_EQ(ExitCodeOf(metrics.status()), ExitCode::kData);
  EXPECT_NE(MessageOf(metrics.status()).find("line 2 is not a JSON object"), std::string::npos);
  EXPECT_FALSE(Read("[1]\n{}\n").ok());
}

TEST_F(MetricsReaderTest, ARollbackVoidsLinesAsAResumeDoes) {
  const auto metrics = Read(R"({"kind":"train","step":5}
{"kind":"train","step":6}
{"kind":"event","event":"rollback","step":5,"from_step":7}
{"kind":"train","step":6,"again":true}
)");
  ASSERT_TRUE(metrics.ok());
  ASSERT_EQ(metrics->lines.size(), 3u);
  EXPECT_EQ(metrics->lines[2]["again"], true);
}

TEST_F(MetricsReaderTest, LinesAboveTheStepOfAResumeAreVoid) {
  const auto metrics = Read(R"({"kind":"train","step":10}
{"kind":"event","event":"checkpoint","step":10}
{"kind":"train","step":11}
{"kind":"eval","step":12}
{"kind":"event","event":"guard","step":12}
{"kind":"event","event":"epoch","step":12}
{"kind":"event","event":"resume","step":10}
{"kind":"train","step":11,"again":true}
)");
  ASSERT_TRUE(metrics.ok());
  ASSERT_EQ(metrics->lines.size(), 5u);
  EXPECT_EQ(metrics->lines[0]["step"], 10);
  EXPECT_EQ(metrics->lines[2]["event"], "guard");
  EXPECT_EQ(metrics->lines[4]["again"], true);
}

TEST_F(MetricsReaderTest, AMissingFileIsADataError) {
  EXPECT_EQ(ExitCodeOf(ReadMetrics(folder_ / "none").status()), ExitCode::kData);
}

}  // namespace
}  // namespace lanthorn
