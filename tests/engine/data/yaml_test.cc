#include "engine/data/formats/yaml.h"

#include <gtest/gtest.h>

#include <fstream>

#include "engine/base/status.h"

namespace lanthorn::data {
namespace {

std::string Write(const std::string& text) {
  const std::string path = ::testing::TempDir() + "/settings.yaml";
  std::ofstream(path) << text;
  return path;
}

std::vector<YamlSetting> Read(const std::string& text) {
  const auto settings = ReadYaml(Write(text));
  EXPECT_TRUE(settings.ok()) << settings.status().ToString();
  return settings.ok() ? *settings : std::vector<YamlSetting>{};
}

std::string Problem(const std::string& text) {
  const auto settings = ReadYaml(Write(text));
  EXPECT_FALSE(settings.ok());
  EXPECT_EQ(ExitCodeOf(settings.status()), ExitCode::kData);
  return MessageOf(settings.status());
}

TEST(Yaml, SettingsHaveTheirPathsLinesAndTypes) {
  const auto settings = Read(
      "# a comment\n"
      "run:\n"
      "  seed: 1337   # of everything\n"
      "  rate: 2e-4\n"
      "  small: 1.0e-08\n"
      "  exact: false\n"
      "  name: 'true'\n"
      "  empty:\n"
      "optimizer:\n"
      "  betas: [0.9, 0.98]\n"
      "  scheduler: {name: cosine, steps: [{steps: 0, length: 384}]}\n");
  ASSERT_EQ(settings.size(), 9u);
  EXPECT_EQ(settings[0].path, "run.seed");
  EXPECT_EQ(settings[0].line, 3);
  EXPECT_TRUE(settings[0].value.is_number_integer());
  EXPECT_EQ(settings[0].value, 1337);
  EXPECT_EQ(settings[1].value, 2e-4);
  EXPECT_EQ(settings[2].value, 1e-8);
  EXPECT_EQ(settings[3].value, false);
  EXPECT_EQ(settings[4].value, "true");
  EXPECT_TRUE(settings[5].value.is_null());
  EXPECT_EQ(settings[6].value, nlohmann::json({0.9, 0.98}));
  EXPECT_EQ(settings[7].path, "optimizer.scheduler.name");
  EXPECT_EQ(settings[8].path, "optimizer.scheduler.steps");
  EXPECT_EQ(settings[8].line, 11);
  EXPECT_EQ(settings[8].value[0]["length"], 384);
}

TEST(Yaml, ProblemsNameTheLine) {
  EXPECT_NE(Problem("run:\n  seed: 1\n  seed: 2\n").find("line 3: run.seed is given twice; line 2 has it too"),
            std::string::npos);
  EXPECT_NE(Problem("run:\n  seed: 1\nrun:\n  epochs: 2\n").find("line 3: run is given twice"), std::string::npos);
  EXPECT_NE(Problem("run:\n  seed: [1, 2\n").find("line 3: "), std::string::npos);
  EXPECT_NE(Problem("run: {}\nrun: {}\n").find("line 2: run is given twice; line 1"), std::string::npos);
  EXPECT_NE(Problem("a: [{b: 1, b: 2}]\n").find("b is given twice"), std::string::npos);
  EXPECT_NE(Problem("a: 1\n---\nb: 2\n").find("2 documents"), std::string::npos);
  EXPECT_NE(Problem("").find("nothing in it"), std::string::npos);
  EXPECT_NE(Problem("- 1\n- 2\n").find("expected `name: value` lines"), std::string::npos);
  EXPECT_NE(Problem("[1, 2]: 3\n").find("line 1: a key that is not a name"), std::string::npos);
}

TEST(Yaml, AliasesThatNeverEndAreRefused) {
  EXPECT_NE(Problem("a: &a [*a]\n").find("holds itself"), std::string::npos);
  std::string text = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string below = "*a" + std::to_string(i - 1), name = "a" + std::to_string(i);
    text += name + ": &" + name + " [";
    for (int j = 0; j < 10; ++j) text += (j > 0 ? ", " : "") + below;
    text += "]\n";
  }
  EXPECT_NE(Problem(text).find("more than 10000 values"), std::string::npos);
}

TEST(Yaml, AFileThatIsNotThereIsNamed) {
  const auto settings = ReadYaml("no/such.yaml");
  EXPECT_FALSE(settings.ok());
  EXPECT_NE(MessageOf(settings.status()).find("no/such.yaml"), std::string::npos);
}

}  // namespace
}  // namespace lanthorn::data
