#include "engine/device/libraries.h"

#include <ATen/Context.h>
#include <dnnl.h>
#include <limits.h>
#include <link.h>
#include <stdlib.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "engine/base/blas.h"
#include "engine/base/torch_compat.h"
#include "engine/device/device.h"

namespace lanthorn::device {
namespace {

// Calls visit(path without links) for every shared library of the process.
template <typename Visit>
void ForEachLibrary(Visit visit) {
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* data) {
        char path[PATH_MAX];
        if (info->dlpi_name != nullptr && realpath(info->dlpi_name, path) != nullptr)
          (*static_cast<Visit*>(data))(std::string(path));
        return 0;
      },
      &visit);
}

bool StartsWithAny(const std::string& name, const std::vector<std::string>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(), [&](const std::string& p) { return name.rfind(p, 0) == 0; });
}

bool Has(unsigned isa, unsigned wanted) { return (isa & wanted) == wanted; }

std::string IsaName(unsigned isa) {
  const std::pair<unsigned, const char*> known[] = {{dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx"},
                                                    {dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16"},
                                                    {dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni"},
                                                    {dnnl_cpu_isa_avx512_core, "avx512_core"},
                                                    {dnnl_cpu_isa_avx2_vnni, "avx2_vnni"},
                                                    {dnnl_cpu_isa_avx2, "avx2"},
                                                    {dnnl_cpu_isa_avx, "avx"},
                                                    {dnnl_cpu_isa_sse41, "sse41"}};
  for (const auto& [bits, name] : known) {
    if (Has(isa, bits)) return name;
  }
  return "generic";
}

}  // namespace

Libraries LoadedLibraries() {
  Libraries libraries;
  libraries.blas = BlasConfig();
  libraries.blas_threading = BlasThreading();
  ForEachLibrary([&](const std::string& path) {
    const std::string name = path.substr(path.rfind('/') + 1);
    // A thin libblas.so.3 of Debian's alternatives holds no kernels; its reference version does.
    if (StartsWithAny(name, {"libopenblas", "libmkl_core", "libmkl_rt", "libblis", "libblas.so.3."}))
      libraries.blas_files.push_back(path);
    if (StartsWithAny(name, {"libgomp", "libomp", "libiomp"})) libraries.openmp_files.push_back(path);
  });
  const dnnl_version_t* version = dnnl_version();
  libraries.onednn = absl::StrCat(version->major, ".", version->minor, ".", version->patch);
  const unsigned isa = dnnl_get_effective_cpu_isa();
  libraries.onednn_isa = IsaName(isa);
  libraries.bf16 = Has(isa, dnnl_cpu_isa_avx512_core_amx)    ? "amx"
                   : Has(isa, dnnl_cpu_isa_avx512_core_bf16) ? "avx512_bf16"
                                                             : "none";
  libraries.libtorch = TORCH_VERSION;
  libraries.cuda_built = at::hasCUDA();
  libraries.cuda_devices = static_cast<int>(Available().size()) - 1;
  return libraries;
}

}  // namespace lanthorn::device
