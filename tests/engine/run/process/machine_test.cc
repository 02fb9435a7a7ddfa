#include "engine/run/process/machine.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/run/process/process_identity.h"

namespace lanthorn {
namespace {

TEST(MachineTest, TheFingerprintNamesWhatNumbersDependOn) {
  const auto machine = MachineFingerprint();
  EXPECT_FALSE(machine["cpu"].get<std::string>().empty());
  EXPECT_TRUE(machine["flags"].is_array());
  EXPECT_GE(machine["cpus"].get<int>(), 1);
  EXPECT_GE(machine["threads"].get<int>(), 1);
  EXPECT_GT(machine["memory_bytes"].get<int64_t>(), 64 << 20);
  EXPECT_EQ(machine["kernel"].get<std::string>().rfind("Linux ", 0), 0u);
  EXPECT_GE(machine["load_average"].get<double>(), 0);
  EXPECT_EQ(machine["host"], HostName());
  EXPECT_EQ(BootId().size(), 36u) << BootId();
  EXPECT_EQ(machine["boot_id"], BootId());
}

TEST(MachineTest, TheOpenMpBuildOfOpenBlasIsLoaded) {
  EXPECT_EQ(MachineFingerprint()["blas_threading"], "openmp");
  EXPECT_EQ(MachineFingerprint()["blas"].get<std::string>().rfind("OpenBLAS ", 0), 0u);
}

TEST(MachineTest, VersionsNameEveryLibraryOfTheEngine) {
  const auto versions = LibraryVersions();
  for (const char* key : {"lanthorn", "libtorch", "abseil", "blas", "compiler"}) {
    EXPECT_FALSE(versions[key].get<std::string>().empty()) << key;
  }
}

}  // namespace
}  // namespace lanthorn
