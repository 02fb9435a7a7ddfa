// Progress on stderr: a bar on a terminal, plain lines elsewhere, never silent for more than 30 seconds (guards.md
// G10).
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "engine/train/records.h"

namespace lanthorn::train {

// "3m10s", "2h05m", "45s"
std::string FormatSeconds(double seconds);
// "1,234,567"
std::string FormatCount(int64_t count);

struct ProgressOptions {
  bool terminal = false;   // draw a bar
  bool unicode = false;    // of block characters
  bool quiet = false;      // no lines at all but what `log` gets
  double interval_s = 30;  // longest silence
  int columns = 80;
  std::function<void(const std::string&)> write;  // to stderr
  std::function<void(const std::string&)> log;    // plain lines, for stdout.log
};

class Progress final : public Observer {
 public:
  explicit Progress(ProgressOptions options);
  ~Progress() override;

  absl::Status OnStep(const StepRecord& record, Control* control) override;
  absl::Status OnEval(const EvalRecord& record, int64_t step) override;
  absl::Status OnEpoch(const EpochRecord& record, Control* control) override;
  void OnPhase(const std::string& phase) override;

  // Takes the bar off the screen, so that others can print; the next step draws it again.
  void Clear();
  // Prints a whole line.
  void Line(const std::string& text);

 private:
  std::string PlainLine() const;
  std::string Bar() const;
  void Emit(const std::string& text);
  void ClearLocked();
  void Watch();

  ProgressOptions options_;
  std::mutex mutex_;
  StepRecord last_;
  std::string phase_ = "load";
  double phase_since_;
  double last_line_, last_draw_ = 0;
  bool drawn_ = false;
  std::atomic<bool> ending_{false};
  std::thread watcher_;
};

}  // namespace lanthorn::train
