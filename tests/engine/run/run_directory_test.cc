#include "engine/run/run_directory.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <set>
#include <thread>

#include "engine/base/files/files.h"
#include "engine/run/metrics/metrics_reader.h"
#include "engine/run/process/claim.h"
#include "tests/engine/temporary_folder.h"

namespace lanthorn {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

class RunDirectoryTest : public testing::Test {
 protected:
  std::unique_ptr<RunDirectory> Claim() {
    auto run = RunDirectory::Claim(root_, "exp", options_);
    EXPECT_TRUE(run.ok()) << run.status();
    return *std::move(run);
  }
  static json Read(const RunDirectory& run, const std::string& file) {
    return json::parse(*ReadFile(run.path() + "/" + file));
  }

  TemporaryFolder folder_;
  std::string root_ = folder_ / "deep/results";
  RunOptions options_{.heartbeat = std::chrono::milliseconds(3'600'000), .source_folder = folder_.path()};
};

TEST_F(RunDirectoryTest, AClaimedRunHasFolderAttemptStatusAndLatest) {
  const auto run = Claim();
  EXPECT_TRUE(IsRunId(run->id()));
  EXPECT_EQ(run->path(), root_ + "/exp/" + run->id());
  EXPECT_TRUE(fs::is_directory(run->path() + "/.attempt-1"));
  EXPECT_EQ(fs::read_symlink(root_ + "/exp/latest"), run->id());
  const json status = Read(*run, "status.json");
  EXPECT_EQ(status["format"], 1);
  EXPECT_EQ(status["state"], "QUEUED");
  EXPECT_EQ(status["phase"], "load");
  EXPECT_EQ(status["pid"], getpid());
  EXPECT_EQ(status["attempt"], 1);
  EXPECT_TRUE(status["loss"].is_null());
  std::string stamp;
  for (char c : status["started"].get<std::string>().substr(0, 19))
    stamp += c == 'T' ? "-" : c == '-' || c == ':' ? "" : std::string(1, c);
  EXPECT_EQ(run->id().substr(0, 15), stamp);
}

TEST_F(RunDirectoryTest, FiftyClaimsAtOnceGetFiftyRuns) {
  std::vector<std::unique_ptr<RunDirectory>> runs(50);
  std::vector<std::thread> threads;
  for (auto& run : runs) threads.emplace_back([&] { run = Claim(); });
  for (auto& thread : threads) thread.join();
  std::set<std::string> ids;
  for (const auto& run : runs) ids.insert(run->id());
  EXPECT_EQ(ids.size(), 50u);
  EXPECT_EQ(fs::read_symlink(root_ + "/exp/latest"), *ids.rbegin());
}

TEST_F(RunDirectoryTest, ABadNameIsAConfigErrorAndMakesNothing) {
  EXPECT_EQ(ExitCodeOf(RunDirectory::Claim(root_, "../x").status()), ExitCode::kConfig);
  EXPECT_FALSE(fs::exists(root_));
}

TEST_F(RunDirectoryTest, AnUnwritableResultsFolderIsAMachineErrorThatSaysWhatToDo) {
  const auto run = RunDirectory::Claim("/dev/null/x", "exp");
  EXPECT_EQ(ExitCodeOf(run.status()), ExitCode::kMachine);
  const std::string message = MessageOf(run.status());
  EXPECT_EQ(message.rfind("results folder '/dev/null/x' cannot take a run: ", 0), 0u) << message;
  EXPECT_NE(message.find("Not a directory"), std::string::npos) << message;
  EXPECT_NE(message.find("set RUNNER_RESULTS_DIR"), std::string::npos) << message;
}

TEST_F(RunDirectoryTest, AClaimThatFailsLateLeavesNoRun) {
  fs::create_directories(root_ + "/exp/latest");  // the link cannot replace a folder
  EXPECT_EQ(ExitCodeOf(RunDirectory::Claim(root_, "exp", options_).status()), ExitCode::kMachine);
  EXPECT_EQ(std::distance(fs::directory_iterator(root_ + "/exp"), fs::directory_iterator()), 1);
}

TEST_F(RunDirectoryTest, TheConfigHashIsThatOfTheValuesWithoutSpaces) {
  const auto run = Claim();
  const auto hash = run->WriteConfig({{"train", {{"seed", 1}, {"lr", 0.002}}}, {"a", "b c"}}, {{"train.seed", "cli"}});
  EXPECT_EQ(*hash, "sha256:" + Sha256Hex(R"({"a":"b c","train":{"lr":0.002,"seed":1}})"));
  EXPECT_EQ(Read(*run, "config.json"), (json{{"format", 1},
                                             {"values", {{"train", {{"seed", 1}, {"lr", 0.002}}}, {"a", "b c"}}},
                                             {"origin", {{"train.seed", "cli"}}}}));
}

TEST_F(RunDirectoryTest, RunsOfOneProcessHaveGrowingIds) {
  std::vector<std::string> ids;
  for (int i = 0; i < 20; ++i) ids.push_back(Claim()->id());
  EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), ids.size());
}

TEST_F(RunDirectoryTest, RunsOfProcessesOneAfterTheOtherHaveGrowingIds) {
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    const pid_t child = fork();
    if (child == 0) _exit(RunDirectory::Claim(root_, "exp", options_).ok() ? 0 : 1);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    const std::string own = Claim()->id();
    for (const auto& entry : fs::directory_iterator(root_ + "/exp")) {
      const std::string name = entry.path().filename();
      EXPECT_TRUE(!IsRunId(name) || name <= own) << name << " after " << own;
    }
  }
}

TEST_F(RunDirectoryTest, AHundredProcessesAtOnceClaimAHundredFolders) {
  int gate[2];
  ASSERT_EQ(pipe(gate), 0);
  std::vector<pid_t> children;
  for (int i = 0; i < 100; ++i) {
    children.push_back(fork());
    if (children.back() != 0) continue;
    close(gate[1]);
    char byte;
    (void)!read(gate[0], &byte, 1);  // until the parent lets all go
    _exit(RunDirectory::Claim(root_, "exp", options_).ok() ? 0 : 1);
  }
  close(gate[0]);
  close(gate[1]);
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  std::set<std::string> runs;
  std::string newest;
  for (const auto& entry : fs::directory_iterator(root_ + "/exp")) {
    const std::string name = entry.path().filename();
    if (!IsRunId(name)) continue;
    EXPECT_TRUE(fs::exists(entry.path() / ".attempt-1/owner.json"));
    runs.insert(name);
    newest = std::max(newest, name);
  }
  EXPECT_EQ(runs.size(), 100u);
  EXPECT_EQ(fs::read_symlink(root_ + "/exp/latest").string(), newest);
}

TEST_F(RunDirectoryTest, AConfigValueThatIsNotFiniteIsRefused) {
  const auto run = Claim();
  for (double value : {std::nan(""), -std::numeric_limits<double>::infinity()}) {
    EXPECT_EQ(ExitCodeOf(run->WriteConfig({{"a", {{"b", {1.0, value}}}}}, json::object()).status()), ExitCode::kConfig);
  }
  EXPECT_FALSE(fs::exists(run->path() + "/config.json"));
}

TEST_F(RunDirectoryTest, TheSourceHashIsWhatSha256sumGives) {
  const auto run = Claim();
  ASSERT_TRUE(run->AddSource("models/m.lua", "return 1\n").ok());
  ASSERT_TRUE(run->AddSource("exp.lua", "print(1)\n").ok());
  EXPECT_EQ(*ReadFile(run->path() + "/src/models/m.lua"), "return 1\n");
  const std::string command =
      "cd " + run->path() + "/src && sha256sum exp.lua models/m.lua | sha256sum | cut -c1-64 > " + (folder_ / "sum");
  ASSERT_EQ(std::system(command.c_str()), 0);
  EXPECT_EQ(run->SourceHash() + "\n", "sha256:" + *ReadFile(folder_ / "sum"));
}

TEST_F(RunDirectoryTest, SourcesStayInTheirFolderAndAreText) {
  const auto run = Claim();
  for (const std::string name : {"", "/etc/x", "../x", "a/../../x", "a/", "./x", "a\nb", "git.diff"}) {
    EXPECT_EQ(ExitCodeOf(run->AddSource(name, "x")), ExitCode::kConfig) << name;
  }
  EXPECT_EQ(ExitCodeOf(run->AddSource("x.lua", "\x1bLJ\x02")), ExitCode::kConfig);
  EXPECT_FALSE(fs::exists(run->path() + "/src"));
}

TEST_F(RunDirectoryTest, TheManifestHoldsTheFieldsAndWhatTheRunKnows) {
  const auto run = Claim();
  const std::string hash = *run->WriteConfig({{"a", 1}}, json::object());
  ASSERT_TRUE(run->AddSource("exp.lua", "x").ok());
  ASSERT_TRUE(run->WriteManifest(
                     {{"seed", 42}, {"device", "cpu"}, {"argv", {"runner", "\xff"}}, {"versions", {{"luajit", "2.1"}}}})
                  .ok());
  const json manifest = Read(*run, "manifest.json");
  EXPECT_EQ(manifest["format"], 1);
  EXPECT_EQ(manifest["run_id"], run->id());
  EXPECT_EQ(manifest["experiment"], "exp");
  EXPECT_EQ(manifest["created"], Read(*run, "status.json")["started"]);
  EXPECT_EQ(manifest["seed"], 42);
  EXPECT_EQ(manifest["config_hash"], hash);
  EXPECT_EQ(manifest["source_hash"], run->SourceHash());
  EXPECT_EQ(manifest["versions"]["luajit"], "2.1");
  EXPECT_EQ(manifest["versions"]["lanthorn"], LANTHORN_VERSION);
  EXPECT_TRUE(manifest["machine"].contains("cpu"));
  EXPECT_TRUE(manifest["git"].is_null());
  EXPECT_TRUE(manifest["parent"].is_null());
  EXPECT_EQ(manifest["tags"], json::array());
}

TEST_F(RunDirectoryTest, TheDiffOfChangedSourcesIsStoredOutsideTheSourceHash) {
  const std::string in = "cd " + folder_.path() + " && ";
  ASSERT_EQ(std::system((in + "git init -q && echo a > f && git add f && git -c user.name=t -c user.email=t@t commit "
                              "-q -m t && echo b > f")
                            .c_str()),
            0);
  const auto run = Claim();
  const std::string before = run->SourceHash();
  ASSERT_TRUE(run->WriteManifest(json::object()).ok());
  EXPECT_EQ(Read(*run, "manifest.json")["git"]["dirty"], true);
  EXPECT_NE(ReadFile(run->path() + "/src/git.diff")->find("+b"), std::string::npos);
  EXPECT_EQ(run->SourceHash(), before);
}

TEST_F(RunDirectoryTest, MetricsAndLogAreAppended) {
  const auto run = Claim();
  ASSERT_TRUE(run->LogMetrics({{"kind", "train"}, {"step", 1}, {"loss", std::nan("")}}).ok());
  run->AppendLog("\x1b[32mstep 1\x1b[0m\n");
  const auto metrics = ReadMetrics(run->path() + "/metrics.jsonl");
  ASSERT_EQ(metrics->lines.size(), 1u);
  EXPECT_EQ(metrics->lines[0]["nonfinite"]["loss"], "nan");
  EXPECT_EQ(*ReadFile(run->path() + "/stdout.log"), "step 1\n");
}

TEST_F(RunDirectoryTest, FinishWritesStatusAndExit) {
  const auto run = Claim();
  ASSERT_TRUE(run->UpdateStatus({{"state", "RUNNING"}, {"phase", "train"}, {"step", 200}, {"steps", 200}}).ok());
  RunEnd end;
  end.reason = "all steps done";
  end.summary = {{"loss", {{"last", 1.5}, {"best", std::nan("")}, {"best_step", 100}}}};
  ASSERT_TRUE(run->Finish(end).ok());
  EXPECT_EQ(Read(*run, "status.json")["state"], "FINISHED");
  const json exit = Read(*run, "exit.json");
  EXPECT_EQ(exit["format"], 1);
  EXPECT_EQ(exit["attempt"], 1);
  EXPECT_EQ(exit["state"], "FINISHED");
  EXPECT_EQ(exit["code"], 0);
  EXPECT_TRUE(exit["signal"].is_null());
  EXPECT_EQ(exit["reason"], "all steps done");
  EXPECT_EQ(exit["step"], 200);
  EXPECT_EQ(exit["steps"], 200);
  EXPECT_GE(exit["ended"], exit["started"]);
  EXPECT_GE(exit["wall_s"].get<double>(), 0);
  EXPECT_GE(exit["cpu_s"].get<double>(), 0);
  EXPECT_GT(exit["peak_rss_mb"].get<double>(), 10);
  EXPECT_EQ(exit["guards"], json::array());
  EXPECT_EQ(exit["summary"]["loss"]["last"], 1.5);
  EXPECT_TRUE(exit["summary"]["loss"]["best"].is_null());
}

TEST_F(RunDirectoryTest, AnInterruptedRunNamesItsSignal) {
  const auto run = Claim();
  RunEnd end{.state = "INTERRUPTED", .code = 130, .reason = "SIGINT", .signal = 2};
  ASSERT_TRUE(run->Finish(end).ok());
  EXPECT_EQ(Read(*run, "exit.json")["signal"], 2);
}

TEST_F(RunDirectoryTest, FinishHappensOnceAndOnlyWithAnEndState) {
  const auto run = Claim();
  EXPECT_FALSE(run->Finish({.state = "RUNNING"}).ok());
  EXPECT_FALSE(fs::exists(run->path() + "/exit.json"));
  EXPECT_TRUE(run->Finish({}).ok());
  EXPECT_FALSE(run->Finish({}).ok());
}

TEST_F(RunDirectoryTest, WithoutFinishNoExitFileIsLeft) {
  const auto run_path = Claim()->path();
  EXPECT_TRUE(fs::exists(run_path + "/status.json"));
  EXPECT_FALSE(fs::exists(run_path + "/exit.json"));
}

TEST_F(RunDirectoryTest, NoTemporaryFileStaysBehind) {
  const auto run = Claim();
  ASSERT_TRUE(run->WriteConfig({{"a", 1}}, json::object()).ok());
  ASSERT_TRUE(run->AddSource("exp.lua", "x").ok());
  ASSERT_TRUE(run->WriteManifest(json::object()).ok());
  ASSERT_TRUE(run->Finish({}).ok());
  for (const auto& entry : fs::recursive_directory_iterator(root_))
    EXPECT_NE(entry.path().extension(), ".tmp") << entry.path();
}

}  // namespace
}  // namespace lanthorn
