// The test program. Exit code 77 means that nothing failed and something was skipped, which ctest shows as skipped.
//   --oracles=DIR   compares with the oracles in DIR as well (tests/golden/make_pytorch_oracles.py DIR SEED makes some)
#include <gtest/gtest.h>

#include <iostream>

#include "tests/engine/folders.h"

namespace lanthorn {

// The only file that is compiled with the source tree's path, so that a compiler cache serves every checkout.
std::string GoldenPath(const std::string& name) { return LANTHORN_SOURCE_DIR "/tests/golden/" + name; }

std::vector<std::string>& OracleFolders() {
  static std::vector<std::string> folders = {GoldenPath("oracles")};
  return folders;
}

}  // namespace lanthorn

int main(int argc, char** argv) {
  constexpr int kSkipped = 77;
  constexpr std::string_view kOracles = "--oracles=";
  testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word.substr(0, kOracles.size()) != kOracles) {
      std::cerr << "unknown option '" << word << "'; there is --oracles=DIR beside those of GoogleTest (--help)\n";
      return 2;
    }
    lanthorn::OracleFolders().emplace_back(word.substr(kOracles.size()));
  }
  const int failed = RUN_ALL_TESTS();
  return failed == 0 && testing::UnitTest::GetInstance()->skipped_test_count() > 0 ? kSkipped : failed;
}
