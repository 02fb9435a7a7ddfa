#include "engine/run/process/progress_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "engine/base/files/files.h"

namespace lanthorn {
namespace {

constexpr uint64_t kMagicText = 0x3130474f52504c4c;  // "LLPROG01" as bytes
constexpr std::array kNames = {"load", "build", "train", "eval", "save", "report", "done"};

uint64_t Nanoseconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

ProgressFile::Phase ProgressFile::PhaseOf(const std::string& name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  return found == kNames.end() ? Phase::kDone : static_cast<Phase>(found - kNames.begin());
}

absl::StatusOr<std::unique_ptr<ProgressFile>> ProgressFile::Create(const std::string& path) {
  constexpr size_t kBytes = kWords * sizeof(uint64_t);
  unlink(path.c_str());  // an earlier attempt's file may still be mapped by somebody
  FileDescriptor fd(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!fd.valid()) return MachineError(ErrnoMessage(path, "cannot write", errno));
  // Reserved now: a store into a mapped hole of a full disk would be a SIGBUS.
  if (const int error = posix_fallocate(fd.get(), 0, kBytes)) {
    return MachineError(ErrnoMessage(path, "cannot reserve its bytes", error));
  }
  void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return MachineError(ErrnoMessage(path, "cannot map", errno));
  return std::unique_ptr<ProgressFile>(new ProgressFile(static_cast<uint64_t*>(memory)));
}

ProgressFile::ProgressFile(uint64_t* words) : words_(words), time_(Nanoseconds()) {
  Set(kPid, static_cast<uint64_t>(getpid()));
  Set(kTime, time_);
  std::atomic_ref(words_[kMagic]).store(kMagicText, std::memory_order_release);
}

ProgressFile::~ProgressFile() { munmap(words_, kWords * sizeof(uint64_t)); }

void ProgressFile::Set(Word word, uint64_t value) {
  std::atomic_ref(words_[word]).store(value, std::memory_order_relaxed);
}

void ProgressFile::Advance(bool is_step) {
  const uint64_t now = Nanoseconds(), gap = now - time_;
  time_ = now;
  longest_gap_ = std::max(longest_gap_, gap);
  if (phase_ == Phase::kEval) Set(kSlowestEval, slowest_eval_ = std::max(slowest_eval_, gap));
  if (phase_ == Phase::kSave) Set(kSlowestSave, slowest_save_ = std::max(slowest_save_, gap));
  if (is_step) {
    window_[steps_ % kWindow] = longest_gap_;
    Set(kSlowestStep, *std::max_element(window_.begin(), window_.end()));
    longest_gap_ = 0;
    Set(kSteps, ++steps_);
  }
  Set(kTime, now);
}

// Last of all, so that who sees the new count sees the rest.
void ProgressFile::Count() { std::atomic_ref(words_[kCounter]).store(++counter_, std::memory_order_release); }

void ProgressFile::Enter(Phase phase) {
  Advance(/*is_step=*/false);
  phase_ = phase;
  longest_gap_ = 0;  // an eval between two steps belongs to neither
  Set(kPhase, static_cast<uint64_t>(phase));
  Set(kDoneParts, 0);
  Set(kParts, 0);
  Count();
}

void ProgressFile::Step(int64_t step) {
  Advance(/*is_step=*/true);
  Set(kStep, static_cast<uint64_t>(step));
  Count();
}

void ProgressFile::Part(int64_t done, int64_t of) {
  Advance(/*is_step=*/false);
  Set(kDoneParts, static_cast<uint64_t>(done));
  Set(kParts, static_cast<uint64_t>(of));
  Count();
}

void ProgressFile::Tick() {
  Advance(/*is_step=*/false);
  Count();
}

absl::StatusOr<ProgressState> ReadProgress(const std::string& path) {
  LANTHORN_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  std::array<uint64_t, ProgressFile::kWords> words;
  if (bytes.size() < sizeof words) return DataError(absl::StrCat("'", path, "' is not a progress file"));
  std::memcpy(words.data(), bytes.data(), sizeof words);
  if (words[ProgressFile::kMagic] != kMagicText) return DataError(absl::StrCat("'", path, "' is not a progress file"));
  const auto count = [&words](ProgressFile::Word word) { return static_cast<int64_t>(words[word]); };
  const auto seconds = [&words](ProgressFile::Word word) { return static_cast<double>(words[word]) / 1e9; };
  ProgressState state;
  state.pid = count(ProgressFile::kPid);
  state.counter = count(ProgressFile::kCounter);
  state.phase = kNames[std::min<uint64_t>(words[ProgressFile::kPhase], kNames.size() - 1)];
  state.step = count(ProgressFile::kStep);
  state.done = count(ProgressFile::kDoneParts);
  state.of = count(ProgressFile::kParts);
  state.time_s = seconds(ProgressFile::kTime);
  state.slowest_step_s = seconds(ProgressFile::kSlowestStep);
  state.slowest_eval_s = seconds(ProgressFile::kSlowestEval);
  state.slowest_save_s = seconds(ProgressFile::kSlowestSave);
  state.steps = count(ProgressFile::kSteps);
  return state;
}

}  // namespace lanthorn
