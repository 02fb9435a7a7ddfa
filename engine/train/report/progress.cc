#include "engine/train/report/progress.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"

namespace lanthorn::train {
namespace {

constexpr double kRedraw = 0.1;  // seconds between two drawings of the bar
constexpr int64_t kManyEpochs = 40;
constexpr double kManyEpochsInterval = 1;  // seconds between two epoch lines when there are many

std::string Optional(std::optional<double> value, const char* format_name, int digits) {
  return value ? absl::StrFormat("  %s %.*f", format_name, digits, *value) : "";
}

std::string Eta(const std::optional<Interval>& remaining) {
  if (!remaining) return "";
  return "  eta " + FormatSeconds(remaining->mid) + " (" + FormatSeconds(remaining->low) + "-" +
         FormatSeconds(remaining->high) + ")";
}

}  // namespace

std::string FormatSeconds(double seconds) {
  const int64_t s = static_cast<int64_t>(std::llround(seconds));
  if (seconds < 9.95) return absl::StrFormat("%.1fs", seconds);
  if (s < 60) return absl::StrFormat("%ds", s);
  if (s < 3600) return absl::StrFormat("%dm%02ds", s / 60, s % 60);
  return absl::StrFormat("%dh%02dm", s / 3600, s % 3600 / 60);
}

std::string FormatCount(int64_t count) {
  std::string digits = std::to_string(count < 0 ? -count : count);
  for (int64_t at = static_cast<int64_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<size_t>(at), ",");
  return count < 0 ? "-" + digits : digits;
}

Progress::Progress(ProgressOptions options)
    : options_(std::move(options)),
      phase_since_(options_.now()),
      last_step_(phase_since_),
      last_line_(phase_since_),
      watcher_([this] { Watch(); }) {}

Progress::~Progress() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ending_ = true;
  }
  ended_.notify_all();
  watcher_.join();
  Clear();
}

void Progress::Watch() {
  constexpr auto kPeriod = std::chrono::milliseconds(200);
  std::unique_lock<std::mutex> lock(mutex_);
  while (!ended_.wait_for(lock, kPeriod, [this] { return ending_; })) PollLocked();
}

void Progress::Poll() {
  const std::lock_guard<std::mutex> lock(mutex_);
  PollLocked();
}

// A phase that reports nothing (loading, a slow eval, a long step) still says every interval that it lives.
void Progress::PollLocked() {
  if (phase_ == kPausedPhase) return;
  const double now = options_.now();
  if (now - last_line_ < options_.interval_s || (options_.terminal && now - last_draw_ < options_.interval_s)) return;
  const bool trains = phase_ == "train" && last_.step > 0 && now - last_step_ < options_.interval_s;
  Emit(trains ? PlainLine() : StillLine(now));
}

std::string Progress::PlainLine() const {
  std::string line =
      absl::StrFormat("step %d/%d  epoch %d  loss %.4f", last_.step, last_.steps, last_.epoch, last_.loss);
  if (last_.score) line += Optional(last_.score->t, "T", 4);
  return line + Rate(last_.tokens_per_s, last_.samples_per_s) + Eta(last_.remaining);
}

std::string Progress::Rate(double tokens_per_s, double samples_per_s) const {
  return absl::StrFormat("  %s %s/s", FormatCount(std::llround(options_.samples ? samples_per_s : tokens_per_s)),
                         options_.samples ? "samples" : "tok");
}

std::string Progress::StillLine(double now) const {
  const bool trains = phase_ == "train";
  std::string line = "still in " + phase_ + ": " + FormatSeconds(now - (trains ? last_step_ : phase_since_));
  if (parts_ > 0) line += absl::StrFormat(", %d of %d batches", parts_done_, parts_);
  if (trains && last_.step == 0) line += " in the first update";
  if (trains && last_.step > 0) line += absl::StrFormat(" since update %d of %d", last_.step, last_.steps);
  return line;
}

// One line that fits the terminal as it is now: what would wrap could not be drawn over. The bar gives way first, then
// what is last.
std::string Progress::Bar() const {
  constexpr int kWidest = 24, kNarrowest = 3;
  // The batches of this epoch that the plan reaches.
  const int64_t to_come = (last_.steps - last_.step) * std::max<int64_t>(last_.micro_batches, 1);
  const int64_t end = std::min(last_.batches, last_.batch + to_come);
  const int room = options_.columns() - 1;  // a full line wraps on some terminals
  const std::string head = absl::StrFormat("epoch %d %s", last_.epoch, options_.unicode ? "" : "[");
  std::string tail = absl::StrFormat("%s %d/%d  loss %.4f", options_.unicode ? "" : "]", last_.batch, end, last_.loss);
  const auto width = [&] { return DisplayWidth(head) + DisplayWidth(tail); };
  const std::string extras[] = {last_.score ? Optional(last_.score->t, "T", 3) : "",
                                Rate(last_.tokens_per_s, last_.samples_per_s), Eta(last_.remaining)};
  for (const std::string& extra : extras)
    if (width() + DisplayWidth(extra) + kNarrowest <= room) tail += extra;
  const int cells = std::clamp(room - width(), kNarrowest, kWidest);
  const double share = end > 0 ? static_cast<double>(last_.batch) / static_cast<double>(end) : 0;
  const int full = static_cast<int>(share * cells);
  std::string bar;
  for (int i = 0; i < cells; ++i)
    bar += i < full ? (options_.unicode ? "\u2588" : "=") : (options_.unicode ? "\u2591" : " ");
  return CutToWidth(head + bar + tail, room);
}

void Progress::Emit(const std::string& text) {
  ClearLocked();
  if (!options_.quiet && options_.write) options_.write(text + "\n");
  if (options_.log) options_.log(text + "\n");
  last_line_ = options_.now();
}

void Progress::ClearLocked() {
  if (drawn_ && options_.write) options_.write("\r\x1b[K");
  drawn_ = false;
}

void Progress::Clear() {
  const std::lock_guard<std::mutex> lock(mutex_);
  ClearLocked();
}

void Progress::Line(const std::string& text) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Emit(text);
}

absl::Status Progress::OnStep(const StepRecord& record, Control*) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const double loss = HasLoss(record) ? record.loss : last_.loss;
  last_ = record;
  last_.loss = loss;
  const double now = last_step_ = options_.now();
  if (!options_.terminal) {
    if (now - last_line_ >= options_.interval_s) Emit(PlainLine());
    return absl::OkStatus();
  }
  if (options_.quiet || (now - last_draw_ < kRedraw && record.batch != record.batches)) return absl::OkStatus();
  if (options_.write) options_.write("\r" + Bar() + "\x1b[K");
  drawn_ = true;
  last_draw_ = now;
  return absl::OkStatus();
}

absl::Status Progress::OnEval(const EvalRecord&, int64_t) { return absl::OkStatus(); }

absl::Status Progress::OnEpoch(const EpochRecord& record, Control*) {
  std::string line = absl::StrFormat("epoch %d/%d  train %.4f", record.epoch, record.epochs, record.train_loss);
  line += Optional(record.val_loss, "val", 4);
  for (const NamedValue& metric : record.metrics) line += absl::StrFormat("  %s %.4g", metric.name, metric.value);
  if (const auto mean = record.tscore.Mean()) {
    line += absl::StrFormat("  T %.4f", *mean);
    if (const auto deviation = record.tscore.StdDev()) line += absl::StrFormat(" sd %.4f", *deviation);
    if (record.tscore.skipped > 0) line += absl::StrFormat(" (%d undefined)", record.tscore.skipped);
  }
  line += "  " + FormatSeconds(record.seconds) + Rate(record.tokens_per_s, record.samples_per_s);
  if (record.best) line += "  best";
  const std::lock_guard<std::mutex> lock(mutex_);
  // Epochs of milliseconds would scroll everything else away; all of them are in metrics.jsonl.
  const bool many = record.epochs > kManyEpochs && record.epoch > 1 && record.epoch < record.epochs;
  if (!many || options_.now() - last_line_ >= kManyEpochsInterval) Emit(line);
  return absl::OkStatus();
}

void Progress::OnPhase(const std::string& phase) {
  const std::lock_guard<std::mutex> lock(mutex_);
  phase_ = phase;
  if (phase == kPausedPhase) ClearLocked();
  phase_since_ = last_step_ = options_.now();
  parts_done_ = parts_ = 0;
}

void Progress::OnPart(int64_t done, int64_t of) {
  const std::lock_guard<std::mutex> lock(mutex_);
  parts_done_ = done;
  parts_ = of;
}

}  // namespace lanthorn::train
