// Where tests find golden files and oracles.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lanthorn {

// A file of tests/golden (main.cc).
std::string GoldenPath(const std::string& name);

// Folders of PyTorch's numbers: the project's own, and those of the command line.
std::vector<std::string>& OracleFolders();

// A file that must be there: reading none is a failed test with the path.
inline nlohmann::json ReadJson(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << "cannot read " << path;
  return file.good() ? nlohmann::json::parse(file) : nlohmann::json();
}
inline nlohmann::json Golden(const std::string& name) { return ReadJson(GoldenPath(name)); }

}  // namespace lanthorn
