#include "engine/run/checkpoint_store.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "engine/base/files/files.h"
#include "engine/base/files/syscalls.h"
#include "tests/engine/temporary_folder.h"

namespace lanthorn {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

class CheckpointStoreTest : public testing::Test {
 protected:
  void TearDown() override { sys::SetFaultHook({}); }

  static CheckpointContent Content(int64_t step) {
    return {step,
            {{"w", at::full({3, 2}, static_cast<double>(step))}, {"b", at::arange(4, c10::kFloat)}},
            {{"exp_avg/w", at::full({3, 2}, 0.5)}, {"step/w", at::full({}, static_cast<double>(step), c10::kDouble)}},
            {{"epoch", 1.5}, {"fit", {{"steps", step}}}},
            {{"sha256", "sha256:00"}, {"sum", 1.25}}};
  }
  std::string Write(int64_t step) {
    const auto written = store_.Write(Content(step));
    EXPECT_TRUE(written.ok()) << written.status();
    return written.ok() ? written->name : "";
  }
  std::vector<std::string> Files() const {
    std::vector<std::string> names;
    if (!fs::exists(store_.folder())) return names;
    for (const auto& entry : fs::directory_iterator(store_.folder())) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
  std::string Path(const std::string& name, const std::string& file) const {
    return store_.folder() + "/" + name + "/" + file;
  }

  TemporaryFolder folder_;
  CheckpointStore store_{folder_.path(), "20261121-101500-abcdef"};
};

TEST_F(CheckpointStoreTest, WhatIsWrittenIsReadBack) {
  const CheckpointContent content = Content(12);
  ASSERT_EQ(Write(12), "step-00000012");
  EXPECT_EQ(Files(), std::vector<std::string>{"step-00000012"});
  const auto read = store_.Read("step-00000012");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->step, 12);
  EXPECT_EQ(read->state["fit"], content.state["fit"]);
  EXPECT_EQ(read->state["step"], 12);
  EXPECT_EQ(read->probe, content.probe);
  ASSERT_EQ(read->model.size(), 2u);
  EXPECT_EQ(read->model[1].first, "w");
  EXPECT_TRUE(at::equal(read->model[1].second, content.model[0].second));
  ASSERT_EQ(read->optimizer.size(), 2u);
  EXPECT_EQ(read->optimizer[1].second.scalar_type(), c10::kDouble);
  const auto manifest = store_.Verify("step-00000012");
  ASSERT_TRUE(manifest.ok());
  EXPECT_EQ((*manifest)["files"].size(), 3u);
  EXPECT_EQ((*manifest)["files"]["state.json"]["bytes"], fs::file_size(Path("step-00000012", "state.json")));
}

TEST_F(CheckpointStoreTest, NewestTakesTheHighestStepThatVerifiesAndNamesTheOthers) {
  for (int64_t step : {9, 10, 100}) Write(step);
  EXPECT_EQ(store_.Newest()->name, "step-00000100");
  fs::resize_file(Path("step-00000100", "optim.safetensors"), 10);
  fs::remove(Path("step-00000010", "state.json"));
  const auto found = store_.Newest();
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->step, 9);
  ASSERT_EQ(found->passed_over.size(), 2u);
  EXPECT_NE(found->passed_over[0].find("optim.safetensors has 10 bytes, expected "), std::string::npos);
  EXPECT_EQ(found->passed_over[1], "checkpoint 'step-00000010': state.json is missing");
  fs::remove_all(store_.folder() + "/step-00000009");
  const auto none = store_.Newest();
  EXPECT_EQ(ExitCodeOf(none.status()), ExitCode::kCheckpoint);
  EXPECT_NE(MessageOf(none.status()).find("state.json is missing"), std::string::npos);
}

TEST_F(CheckpointStoreTest, EveryFlippedBitIsDetectedOrHarmless) {
  Write(3);
  const json whole = *store_.Verify("step-00000003");
  const auto read = *store_.Read("step-00000003");
  int detected = 0;
  for (const char* file : {"model.safetensors", "optim.safetensors", "state.json", "manifest.json"}) {
    const std::string path = Path("step-00000003", file), contents = *ReadFile(path);
    for (size_t i = 0; i < contents.size(); ++i) {
      std::string changed = contents;
      changed[i] = static_cast<char>(changed[i] ^ (1 << (i % 8)));
      std::ofstream(path, std::ios::binary) << changed;
      const auto again = store_.Read("step-00000003");
      if (!again.ok()) {
        EXPECT_EQ(ExitCodeOf(again.status()), ExitCode::kCheckpoint) << file << " byte " << i;
        ++detected;
      } else {  // a blank, the time, the probe: nothing that is trained on
        EXPECT_STREQ(file, "manifest.json");
        EXPECT_TRUE(at::equal(again->model[1].second, read.model[1].second));
        EXPECT_EQ(again->state, read.state);
      }
    }
    for (size_t size = 0; size < contents.size(); size += 7) {
      std::ofstream(path, std::ios::binary) << contents.substr(0, size);
      EXPECT_FALSE(store_.Read("step-00000003").ok()) << file << " cut at " << size;
    }
    std::ofstream(path, std::ios::binary) << contents;
  }
  EXPECT_GT(detected, 500);
  EXPECT_EQ(*store_.Verify("step-00000003"), whole);
}

TEST_F(CheckpointStoreTest, FilesThatDoNotBelongAndOtherRunsAreRefused) {
  Write(3);
  std::ofstream(Path("step-00000003", "extra")) << "x";
  EXPECT_EQ(MessageOf(store_.Verify("step-00000003").status()), "checkpoint 'step-00000003': unexpected file extra");
  fs::remove(Path("step-00000003", "extra"));
  fs::rename(store_.folder() + "/step-00000003", store_.folder() + "/step-00000004");
  EXPECT_NE(MessageOf(store_.Verify("step-00000004").status()).find("its manifest says step 3"), std::string::npos);
  fs::rename(store_.folder() + "/step-00000004", store_.folder() + "/step-00000003");
  const CheckpointStore other(folder_.path(), "20261121-101500-000000");
  EXPECT_NE(MessageOf(other.Verify("step-00000003").status()).find("belongs to run"), std::string::npos);
  EXPECT_FALSE(store_.Verify("latest").ok());
}

// Each call of the file system fails in turn, with a full disk and with a broken one: the checkpoint before stays what
// it was, nothing half written looks like a checkpoint, and the next attempt succeeds.
TEST_F(CheckpointStoreTest, NoFailingCallHarmsWhatWasThere) {
  for (const int64_t step : {2, 1}) {  // a new checkpoint, and one that replaces its like
    for (const int error : {ENOSPC, EIO}) {
      int calls = 0;
      for (int failing = 1;; ++failing) {
        fs::remove_all(store_.folder());
        Write(1);
        calls = 0;
        sys::SetFaultHook([&](const char*, const std::string&) { return ++calls == failing ? error : 0; });
        const auto written = store_.Write(Content(step));
        sys::SetFaultHook({});
        const auto found = store_.Newest();
        ASSERT_TRUE(found.ok()) << found.status() << " call " << failing;
        EXPECT_TRUE(found->passed_over.empty()) << failing;
        EXPECT_TRUE(store_.Read(found->name).ok()) << failing;
        if (calls < failing) {
          EXPECT_TRUE(written.ok());
          break;
        }
        ASSERT_FALSE(written.ok()) << "call " << failing;
        EXPECT_EQ(ExitCodeOf(written.status()), ExitCode::kMachine);
        EXPECT_NE(MessageOf(written.status()).find(std::strerror(error)), std::string::npos) << written.status();
        for (const std::string& name : Files()) EXPECT_TRUE(CheckpointStep(name)) << name << " after call " << failing;
        EXPECT_TRUE(store_.Write(Content(step)).ok());
        EXPECT_EQ(store_.Newest()->step, std::max<int64_t>(step, 1));
      }
      EXPECT_GT(calls, 15);
    }
  }
}

// The process ends within each call of the file system in turn, as a kill would end it.
TEST_F(CheckpointStoreTest, AKillAtAnyCallLeavesACheckpointThatVerifies) {
  for (const int64_t step : {2, 1}) {
    for (int last = 1;; ++last) {
      fs::remove_all(store_.folder());
      Write(1);
      const pid_t child = fork();
      if (child == 0) {
        int calls = 0;
        sys::SetFaultHook([&](const char*, const std::string&) -> int {
          if (++calls == last) _exit(9);
          return 0;
        });
        CheckpointStore store(folder_.path(), "20261121-101500-abcdef");
        _exit(store.Write(Content(step)).ok() ? 0 : 1);
      }
      int status = 0;
      ASSERT_EQ(waitpid(child, &status, 0), child);
      ASSERT_TRUE(WIFEXITED(status));
      const auto found = store_.Newest();
      ASSERT_TRUE(found.ok()) << found.status() << " killed in call " << last;
      EXPECT_TRUE(found->passed_over.empty());
      store_.RemoveLeftovers();
      for (const std::string& name : Files()) EXPECT_TRUE(CheckpointStep(name)) << name;
      if (WEXITSTATUS(status) == 0) {
        EXPECT_GT(last, 15);
        break;
      }
      EXPECT_EQ(WEXITSTATUS(status), 9);
    }
  }
}

TEST_F(CheckpointStoreTest, RetentionKeepsTheNewestTheLinkedAndTheRegular) {
  for (int64_t step : {10, 20, 25, 30, 40, 50}) Write(step);
  ASSERT_TRUE(store_.Link("latest", "step-00000050").ok());
  ASSERT_TRUE(store_.Link("best", "step-00000010").ok());
  EXPECT_EQ(store_.Linked("best"), "step-00000010");
  EXPECT_EQ(store_.Retain({.last = 2, .every = 25}), (std::vector<std::string>{"step-00000030", "step-00000020"}));
  EXPECT_EQ(store_.List(),
            (std::vector<std::string>{"step-00000050", "step-00000040", "step-00000025", "step-00000010"}));
}

TEST_F(CheckpointStoreTest, DamagedCheckpointsDoNotCountAsKept) {
  for (int64_t step : {10, 20, 30}) Write(step);
  CheckpointStore later(folder_.path(), "20261121-101500-abcdef");
  fs::resize_file(Path("step-00000030", "model.safetensors"), 1);
  EXPECT_TRUE(later.Retain({.last = 2}).empty());
  EXPECT_EQ(later.Retain({.last = 1}), std::vector<std::string>{"step-00000010"});
}

TEST_F(CheckpointStoreTest, CheckpointsAboveTheStepThatIsResumedAreSetAside) {
  for (int64_t step : {10, 20, 30}) Write(step);
  EXPECT_EQ(*store_.SetAside(15), (std::vector<std::string>{"step-00000030", "step-00000020"}));
  EXPECT_EQ(store_.List(), std::vector<std::string>{"step-00000010"});
  Write(20);
  EXPECT_EQ(*store_.SetAside(10), std::vector<std::string>{"step-00000020"});
  EXPECT_EQ(Files(), (std::vector<std::string>{"step-00000010", "void-step-00000020-1", "void-step-00000020-2",
                                               "void-step-00000030-1"}));
}

TEST_F(CheckpointStoreTest, LeftoversOfDeadProcessesGoThoseOfLiveOnesStay) {
  Write(1);
  const std::string mine = store_.folder() + "/step-00000002.tmp-" + std::to_string(getppid());
  for (const std::string& path :
       {mine, store_.folder() + "/step-00000002.tmp-99999999", store_.folder() + "/.trash-step-00000001-99999999"})
    fs::create_directory(path);
  EXPECT_EQ(store_.RemoveLeftovers(),
            (std::vector<std::string>{".trash-step-00000001-99999999", "step-00000002.tmp-99999999"}));
  EXPECT_TRUE(fs::exists(mine));
}

TEST_F(CheckpointStoreTest, NamesHoldEightDigitsOrMore) {
  EXPECT_EQ(CheckpointName(1200), "step-00001200");
  EXPECT_EQ(CheckpointStep("step-00001200"), 1200);
  EXPECT_EQ(CheckpointStep(CheckpointName(123456789)), 123456789);
  for (const char* name : {"step-12", "step-0000120x", "latest", "step-00001200.tmp-5", "void-step-00001200-1"})
    EXPECT_FALSE(CheckpointStep(name)) << name;
}

TEST_F(CheckpointStoreTest, SpaceIsSomeAndTheNeedIsMoreThanTheBytes) {
  EXPECT_GT(store_.SpaceFree().value(), 0);
  EXPECT_EQ(CheckpointStore::SpaceNeeded(1000), 1200 + 4000 + (int64_t{1} << 20));  // a small model needs little
  EXPECT_EQ(CheckpointStore::SpaceNeeded(1'000'000'000), 1'200'000'000 + (int64_t{256} << 20));
}

}  // namespace
}  // namespace lanthorn
