// Progress on stderr: a bar on a terminal, plain lines elsewhere, never silent for more than 30 seconds
// (guard G10).
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "engine/base/text/terminal.h"
#include "engine/train/report/records.h"

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
  bool samples = false;    // rates are of samples, where targets are not tokens
  std::function<int()> columns = &TerminalColumns;
  std::function<void(const std::string&)> write = {};  // to stderr
  std::function<void(const std::string&)> log = {};    // plain lines, for stdout.log
  std::function<double()> now = &Now;
};

class Progress final : public Observer {
 public:
  explicit Progress(ProgressOptions options);
  ~Progress() override;

  absl::Status OnStep(const StepRecord& record, Control* control) override;
  absl::Status OnEval(const EvalRecord& record, int64_t step) override;
  absl::Status OnEpoch(const EpochRecord& record, Control* control) override;
  void OnPhase(const std::string& phase) override;
  void OnPart(int64_t done, int64_t of) override;

  // Says a line if there was none for the interval; a thread of its own calls this all the time.
  void Poll();
  // Takes the bar off the screen, so that others can print; the next step draws it again.
  void Clear();
  // Prints a whole line.
  void Line(const std::string& text);

 private:
  std::string PlainLine() const;
  // "still in eval: 40s, 12 of 340 batches"
  std::string StillLine(double now) const;
  std::string Bar() const;
  // "  12,345 tok/s"
  std::string Rate(double tokens_per_s, double samples_per_s) const;
  void Emit(const std::string& text);
  void ClearLocked();
  void Watch();
  void PollLocked();

  ProgressOptions options_;
  std::mutex mutex_;
  StepRecord last_;
  std::string phase_ = "load";
  int64_t parts_done_ = 0, parts_ = 0;
  double phase_since_, last_step_;
  double last_line_, last_draw_ = 0;
  bool drawn_ = false, ending_ = false;
  std::condition_variable ended_;
  std::thread watcher_;
};

}  // namespace lanthorn::train
