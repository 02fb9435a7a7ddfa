#include "engine/device/libraries.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>

namespace lanthorn::device {
namespace {

TEST(LibrariesTest, OneOpenMpBuildOfOpenBlasAndOneOpenMpRuntimeAreLoaded) {
  const Libraries libraries = LoadedLibraries();
  EXPECT_EQ(libraries.blas_threading, "openmp");
  ASSERT_EQ(libraries.blas_files.size(), 1u);
  EXPECT_NE(libraries.blas_files[0].find("openblas"), std::string::npos) << libraries.blas_files[0];
  EXPECT_TRUE(std::ifstream(libraries.blas_files[0]).good());
  EXPECT_EQ(libraries.openmp_files.size(), 1u);
}

TEST(LibrariesTest, VersionsAreNumbersAndTheInstructionSetIsKnown) {
  const Libraries libraries = LoadedLibraries();
  for (const std::string& version : {libraries.onednn, libraries.libtorch}) {
    EXPECT_TRUE(isdigit(version[0])) << version;
    EXPECT_NE(version.find('.'), std::string::npos) << version;
  }
  EXPECT_NE(libraries.onednn_isa, "");
  EXPECT_TRUE((std::set<std::string>{"amx", "avx512_bf16", "none"}.count(libraries.bf16))) << libraries.bf16;
  EXPECT_GE(libraries.cuda_devices, 0);
  if (!libraries.cuda_built) {
    EXPECT_EQ(libraries.cuda_devices, 0);
  }
}

TEST(LibrariesTest, Bf16IsClaimedOnlyWhereTheCpuHasIt) {
  std::ifstream file("/proc/cpuinfo");
  const std::string cpu{std::istreambuf_iterator<char>(file), {}};
  const bool has = cpu.find(" amx_bf16") != std::string::npos || cpu.find(" avx512_bf16") != std::string::npos;
  if (!has) {
    EXPECT_EQ(LoadedLibraries().bf16, "none");
  }
}

}  // namespace
}  // namespace lanthorn::device
