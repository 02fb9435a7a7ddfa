#include "engine/train/report/memory_fields.h"

#include <gtest/gtest.h>

#include "engine/run/metrics/metrics_reader.h"
#include "engine/train/report/run_log.h"
#include "tests/engine/temporary_folder.h"
#include "tests/engine/train/tiny.h"

namespace lanthorn::train {
namespace {

TEST(MemoryTruthG03, NumbersAreOfThisProcessInMegabytes) {
  memory::Install();
  const at::Tensor kept = at::ones({1 << 20});
  nlohmann::json line;
  MemoryProbe probe;
  probe.lua = [] { return int64_t{3'500'000}; };
  AddMemory(probe, &line);
  EXPECT_GE(line["tensor_mb"].get<double>(), 4.19);
  EXPECT_GE(line["rss_peak_mb"].get<double>(), 0.99 * line["rss_mb"].get<double>());
  EXPECT_GT(line["rss_mb"].get<double>(), line["tensor_mb"].get<double>());
  EXPECT_EQ(line["lua_mb"].get<double>(), 3.5);
}

TEST(MemoryTruthG03, AProbeThatFailsIsNullAndNeverZero) {
  nlohmann::json line;
  AddMemory({.resident = [] { return int64_t{-1}; }, .resident_peak = [] { return int64_t{0}; }, .tensors = nullptr},
            &line);
  for (const char* name : {"rss_mb", "rss_peak_mb", "tensor_mb", "lua_mb"}) {
    ASSERT_TRUE(line.contains(name)) << name;
    EXPECT_TRUE(line[name].is_null()) << name;
  }
}

TEST(MemoryTruthG03, StandsInEveryEpochAndEveryHundredthUpdate) {
  const TemporaryFolder folder;
  std::shared_ptr<RunDirectory> run = RunDirectory::Claim(folder.path(), "memory").value();
  Tiny tiny({.options = {.train = {.epochs = 8}}});
  Trainer& trainer = tiny.Start();
  trainer.AddObserver(std::make_shared<RunLog>(run));
  const auto result = trainer.Run();
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_GT(result->steps, 100);
  const auto metrics = ReadMetrics(run->path() + "/metrics.jsonl");
  ASSERT_TRUE(metrics.ok()) << metrics.status();
  int64_t with = 0;
  for (const auto& line : metrics->lines) {
    const bool expected =
        line["kind"] == "train" ? line["step"].get<int64_t>() % 100 == 0 : line.value("event", "") == "epoch";
    EXPECT_EQ(line.contains("rss_mb"), expected) << line;
    with += line.contains("rss_mb");
  }
  EXPECT_EQ(with, 8 + result->steps / 100);
}

}  // namespace
}  // namespace lanthorn::train
