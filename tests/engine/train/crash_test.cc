// Trainings that are killed at random moments and during their saves, or whose disk refuses, and go on: each ends with
// the bytes of one that nothing disturbed. Every attempt is a process of its own, forked before this one computes.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <random>

#include "engine/base/files/files.h"
#include "engine/base/files/syscalls.h"
#include "engine/run/metrics/metrics_reader.h"
#include "engine/train/report/run_log.h"
#include "tests/engine/temporary_folder.h"
#include "tests/engine/train/tiny.h"

namespace lanthorn::train {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

enum Exit { kDone = 0, kFailed = 1, kRefused = 2 };

// One attempt to train, in this process: a new run, or the next attempt of the one in the folder. Gives its exit code.
int Attempt(const std::string& root) {
  at::set_num_threads(1);
  const std::string link = root + "/crash/latest";
  const bool again = fs::exists(link + "/manifest.json");
  // Killed before it was a run: `latest` would go on naming it where the next one, of the same second, has a lower id.
  if (!again) fs::remove_all(root + "/crash");
  const RunOptions quiet{.heartbeat = std::chrono::milliseconds(3'600'000), .source_folder = root};
  auto opened = again ? RunDirectory::Reopen(fs::canonical(link), quiet) : RunDirectory::Claim(root, "crash", quiet);
  if (!opened.ok()) return kRefused;
  const std::shared_ptr<RunDirectory> run = *std::move(opened);
  if (!again && !run->WriteManifest(json::object()).ok()) return kFailed;

  Tiny tiny({.dropout = 0.2, .options = {.train = {.epochs = 3, .accumulate = 2}, .tscore = {.every = 1}}});
  Trainer& trainer = tiny.Start();
  if (again) {
    const CheckpointStore store(run->path(), run->id());
    json event = {{"kind", "event"}, {"event", "resume"}, {"step", 0}};
    if (!store.List().empty()) {
      const auto restored = trainer.Restore(store);
      if (!restored.ok()) return kFailed;
      event["step"] = restored->step;
    }
    if (!run->LogMetrics(event).ok()) return kFailed;
  }
  trainer.AddObserver(std::make_shared<RunLog>(run, /*sample_squares=*/false));
  trainer.SaveTo(run, {.every_steps = 3}, [] { return json{{"callbacks", {{{"name", "x"}}}}}; });
  const auto result = trainer.Run();
  if (!result.ok()) return kFailed;
  return run->Finish({.state = "FINISHED"}).ok() ? kDone : kFailed;
}

// Runs an attempt in a child. `hook` acts on its system calls; after `kill_after` it is killed.
int InChild(const std::string& root, sys::FaultHook hook, std::optional<std::chrono::microseconds> kill_after) {
  const pid_t child = fork();
  if (child == 0) {
    sys::SetFaultHook(std::move(hook));
    _exit(Attempt(root));
  }
  if (kill_after) {
    usleep(static_cast<useconds_t>(kill_after->count()));
    kill(child, SIGKILL);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

// What a training left: weights, optimiser state, the losses of its updates and its evals.
struct Outcome {
  std::string model, optimizer;
  std::map<int64_t, double> losses, evals;
  bool operator==(const Outcome&) const = default;
};

Outcome OutcomeOf(const std::string& root) {
  const std::string run = root + "/crash/latest", last = run + "/checkpoints/latest/";
  Outcome outcome{*ReadFile(last + "model.safetensors"), *ReadFile(last + "optim.safetensors"), {}, {}};
  const auto metrics = ReadMetrics(run + "/metrics.jsonl");
  EXPECT_TRUE(metrics.ok()) << metrics.status();
  for (const json& line : metrics->lines) {
    auto* curve = line["kind"] == "train" ? &outcome.losses : line["kind"] == "eval" ? &outcome.evals : nullptr;
    if (curve != nullptr) {
      EXPECT_TRUE(curve->emplace(line["step"], line["loss"]).second) << line;
    }
  }
  return outcome;
}

// The highest step of which the run says that it was saved.
int64_t LastSaved(const std::string& root) {
  int64_t saved = 0;
  const auto metrics = ReadMetrics(root + "/crash/latest/metrics.jsonl");
  for (const json& line : metrics.ok() ? metrics->lines : std::vector<json>{}) {
    if (line.value("event", "") == "checkpoint") saved = std::max(saved, line["step"].get<int64_t>());
  }
  return saved;
}

class Crash : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    const TemporaryFolder folder;
    const auto begin = std::chrono::steady_clock::now();
    ASSERT_EQ(InChild(folder.path(), {}, std::nullopt), kDone);
    duration_ = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
    undisturbed_ = OutcomeOf(folder.path());
    ASSERT_EQ(undisturbed_.losses.size(), 24u);
    ASSERT_EQ(undisturbed_.evals.size(), 3u);
  }

  static inline Outcome undisturbed_;
  static inline std::chrono::microseconds duration_{};
};

TEST_F(Crash, TwoHundredKillsLoseNothingThatWasSaved) {
  std::mt19937 random(20261121);
  int kills = 0, within_calls = 0;
  while (kills < 200) {
    const TemporaryFolder folder;
    for (int i = 0; i < 7 && kills < 200; ++i) {
      const int64_t saved = LastSaved(folder.path());
      int status;
      if (random() % 2 == 0) {  // at any moment
        status = InChild(folder.path(), {}, std::chrono::microseconds(random() % (duration_.count() + 1)));
      } else {  // in a call of the file system: while something is being written
        int left = static_cast<int>(random() % 300);
        status = InChild(
            folder.path(),
            [left](const char*, const std::string&) mutable {
              if (left-- == 0) kill(getpid(), SIGKILL);
              return 0;
            },
            std::nullopt);
        within_calls += status == -SIGKILL;
      }
      ASSERT_TRUE(status == -SIGKILL || status == kDone) << status;
      kills += status == -SIGKILL;
      EXPECT_GE(LastSaved(folder.path()), saved);
      if (fs::exists(folder / "crash/latest/checkpoints")) {
        const std::string path = fs::canonical(folder / "crash/latest");
        const auto newest = CheckpointStore(path, fs::path(path).filename()).Newest();
        if (saved > 0) {
          ASSERT_TRUE(newest.ok()) << newest.status();
          EXPECT_GE(newest->step, saved);
          EXPECT_TRUE(newest->passed_over.empty());
        }
      }
      if (status == kDone) break;
    }
    if (!fs::exists(folder / "crash/latest/exit.json")) {
      ASSERT_EQ(InChild(folder.path(), {}, std::nullopt), kDone);
    }
    ASSERT_TRUE(OutcomeOf(folder.path()) == undisturbed_) << "after " << kills << " kills";
  }
  EXPECT_GT(within_calls, 30);
}

// From the first save on, one call of the file system after the other fails. The training goes on and ends the same;
// what failed is told.
TEST_F(Crash, ADiskThatRefusesOnceCostsOneCheckpointAtMost) {
  for (const int error : {ENOSPC, EIO}) {
    for (int failing = 0; failing < 90; failing += 3) {
      const TemporaryFolder folder;
      int left = failing;
      const auto hook = [left, error](const char*, const std::string& path) mutable {
        return path.find("/checkpoints/") != std::string::npos && left-- == 0 ? error : 0;
      };
      ASSERT_EQ(InChild(folder.path(), hook, std::nullopt), kDone) << "call " << failing;
      const auto metrics = ReadMetrics(folder / "crash/latest/metrics.jsonl");
      int failed = 0;
      for (const json& line : metrics->lines) failed += line.value("event", "") == "checkpoint_failed";
      EXPECT_LE(failed, 1);
      ASSERT_TRUE(OutcomeOf(folder.path()) == undisturbed_) << "call " << failing;
    }
  }
}

TEST_F(Crash, ADiskThatGoesOnRefusingEndsTheTrainingAndItResumesLater) {
  const TemporaryFolder folder;
  int left = 150;
  const auto hook = [left](const char*, const std::string& path) mutable {
    return path.find("/checkpoints/") != std::string::npos && left-- <= 0 ? ENOSPC : 0;
  };
  ASSERT_EQ(InChild(folder.path(), hook, std::nullopt), kFailed);
  const int64_t saved = LastSaved(folder.path());
  EXPECT_GT(saved, 0);
  ASSERT_EQ(InChild(folder.path(), {}, std::nullopt), kDone);
  EXPECT_TRUE(OutcomeOf(folder.path()) == undisturbed_);
}

}  // namespace
}  // namespace lanthorn::train
