// What people see of a training, by a clock of the test.
#include "engine/train/report/progress.h"

#include <gtest/gtest.h>

#include <atomic>

namespace lanthorn::train {
namespace {

struct Screen {
  std::atomic<double> now{1000};
  std::vector<std::string> lines;
  Progress progress;

  explicit Screen(bool terminal = false)
      : progress({.terminal = terminal,
                  .write = [this](const std::string& text) { lines.push_back(text); },
                  .now = [this] { return now.load(); }}) {}
  // Lets time go by, looked at every second.
  void Pass(int seconds) {
    for (int i = 0; i < seconds; ++i) {
      now = now + 1;
      progress.Poll();
    }
  }
  void Step(int64_t step) {
    StepRecord record;
    record.step = step;
    record.steps = 2000;
    record.epoch = 1;
    record.loss = 1.873;
    Control control;
    EXPECT_TRUE(progress.OnStep(record, &control).ok());
  }
};

TEST(Progress, ALoaderOfFiveMinutesIsNeverSilentForLongG10) {
  Screen screen;
  screen.Pass(300);
  ASSERT_EQ(screen.lines.size(), 10u);
  EXPECT_EQ(screen.lines[0], "still in load: 30s\n");
  EXPECT_EQ(screen.lines[9], "still in load: 5m00s\n");
}

TEST(Progress, AnEvalSaysHowFarItIs) {
  Screen screen;
  screen.Step(7);
  screen.progress.OnPhase("eval");
  screen.Pass(20);
  screen.progress.OnPart(12, 340);
  EXPECT_TRUE(screen.lines.empty());
  screen.Pass(20);
  ASSERT_EQ(screen.lines.size(), 1u);
  EXPECT_EQ(screen.lines[0], "still in eval: 30s, 12 of 340 batches\n");
  screen.progress.OnPhase("train");
  screen.Pass(50);
  EXPECT_EQ(screen.lines.back(), "still in train: 50s since update 7 of 2000\n");
}

TEST(Progress, ALongStepSaysSinceWhen) {
  Screen screen;
  screen.progress.OnPhase("train");
  screen.Pass(30);
  EXPECT_EQ(screen.lines.back(), "still in train: 30s in the first update\n");
  screen.Step(41);
  screen.Pass(29);
  EXPECT_EQ(screen.lines.size(), 1u);
  screen.Pass(1);
  EXPECT_EQ(screen.lines.back(), "still in train: 30s since update 41 of 2000\n");
}

TEST(Progress, StepsThatComeSpeakForThemselves) {
  Screen screen;
  screen.progress.OnPhase("train");
  for (int64_t step = 1; step <= 90; ++step) {
    screen.Pass(1);
    screen.Step(step);
  }
  ASSERT_EQ(screen.lines.size(), 3u);
  for (const std::string& line : screen.lines) EXPECT_EQ(line.rfind("step ", 0), 0u) << line;
}

TEST(Progress, ABarThatIsDrawnIsNoSilence) {
  Screen screen(/*terminal=*/true);
  screen.progress.OnPhase("train");
  for (int64_t step = 1; step <= 60; ++step) {
    screen.Pass(1);
    screen.Step(step);
  }
  for (const std::string& text : screen.lines) EXPECT_EQ(text[0], '\r') << text;
  screen.lines.clear();
  screen.Pass(30);
  ASSERT_EQ(screen.lines.size(), 2u);  // the bar goes, a line comes
  EXPECT_EQ(screen.lines[1], "still in train: 30s since update 60 of 2000\n");
}

// The bar of update 30 of 60 in an epoch of 156 batches, on a terminal of so many columns.
std::string BarAt(int columns, bool unicode) {
  std::string drawn;
  Progress progress({.terminal = true,
                     .unicode = unicode,
                     .columns = [&] { return columns; },
                     .write = [&](const std::string& text) { drawn += text; },
                     .now = [] { return 1000.0; }});
  StepRecord record;
  record.step = record.batch = 30;
  record.steps = 60;
  record.epoch = 1;
  record.batches = 156;
  record.loss = 1.873;
  record.tokens_per_s = 123456;
  record.remaining = Interval{10, 12, 15};
  Control control;
  EXPECT_TRUE(progress.OnStep(record, &control).ok());
  return drawn.substr(1, drawn.find("\x1b[K") - 1);
}

TEST(Progress, TheBarFitsAnyTerminalAndEndsWhereThePlanDoes) {
  for (const bool unicode : {false, true}) {
    for (int columns = 10; columns < 130; ++columns) {
      const std::string bar = BarAt(columns, unicode);
      EXPECT_LT(DisplayWidth(bar), columns) << bar;
      EXPECT_TRUE(columns < 34 || bar.find("30/60  loss 1.8730") != std::string::npos) << columns << bar;
      EXPECT_TRUE(columns < 90 || bar.find("tok/s") != std::string::npos) << bar;
    }
  }
  EXPECT_EQ(BarAt(130, false).find("epoch 1 [============            ] 30/60  loss 1.8730  123,456 tok/s  eta 12s"), 0u)
      << BarAt(130, false);
}

}  // namespace
}  // namespace lanthorn::train
