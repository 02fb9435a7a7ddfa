#include "engine/train/report/run_progress.h"

#include <gtest/gtest.h>

#include <cstring>

#include "engine/base/files/files.h"
#include "tests/engine/temporary_folder.h"

namespace lanthorn::train {
namespace {

constexpr size_t kCounter = 2, kPhase = 3;

class RunProgressTest : public testing::Test {
 protected:
  std::unique_ptr<RunProgress> Open(const std::string& name) {
    return std::make_unique<RunProgress>(*ProgressFile::Create(folder_ / name));
  }
  uint64_t Word(const std::string& name, size_t index) {
    uint64_t value = 0;
    std::memcpy(&value, ReadFile(folder_ / name)->data() + 8 * index, sizeof value);
    return value;
  }
  TemporaryFolder folder_;
};

TEST_F(RunProgressTest, ARunThatIsClosedIsDone) {
  Open("run")->OnPhase("eval");
  EXPECT_EQ(Word("run", kPhase), static_cast<uint64_t>(ProgressFile::Phase::kDone));
}

TEST_F(RunProgressTest, WhatARunInsideAnotherDoesIsLifeOfBoth) {
  const auto outer = Open("outer");
  Control control;
  {
    const auto inner = Open("inner");
    const uint64_t before = Word("outer", kCounter);
    EXPECT_TRUE(inner->OnStep({}, &control).ok());
    inner->OnPart(1, 2);
    inner->OnPhase("eval");
    inner->Tick();
    EXPECT_EQ(Word("outer", kCounter), before + 4);
    EXPECT_EQ(Word("outer", kPhase), 0u);
  }
  const uint64_t inner_end = Word("inner", kCounter);
  outer->Tick();
  EXPECT_EQ(Word("inner", kCounter), inner_end);
}

}  // namespace
}  // namespace lanthorn::train
