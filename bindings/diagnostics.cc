// Probes of the engine for `runner doctor` and `runner bench`, and the self-test of the boundary between C++ and Lua
// errors.
#include "bindings/diagnostics.h"

#include "bindings/lua/json.h"
#include "bindings/lua/typed.h"
#include "engine/base/blas.h"
#include "engine/base/memory/memory.h"
#include "engine/device/device.h"
#include "engine/device/libraries.h"
#include "engine/device/op_cost.h"
#include "engine/device/probe.h"
#include "engine/device/speed.h"
#include "engine/kernels/gemm/precision.h"
#include "engine/kernels/linear/pairs.h"
#include "engine/run/process/machine.h"

namespace lanthorn::lua {
namespace {

using nlohmann::json;

json Libraries() {
  const device::Libraries found = device::LoadedLibraries();
  return {{"blas", found.blas},
          {"blas_threading", found.blas_threading},
          {"blas_files", found.blas_files},
          {"openmp_files", found.openmp_files},
          {"onednn", found.onednn},
          {"onednn_isa", found.onednn_isa},
          {"bf16", found.bf16},
          {"libtorch", found.libtorch},
          {"cuda_built", found.cuda_built},
          {"cuda_devices", found.cuda_devices}};
}

double Gemm(const std::string& library, const std::string& dtype, int threads, double seconds) {
  if (library != "onednn" && library != "libtorch")
    throw UsageError("diagnostics.gemm: library must be 'onednn' or 'libtorch', got '" + library + "'");
  if (dtype != "float32" && dtype != "bfloat16")
    throw UsageError("diagnostics.gemm: dtype must be 'float32' or 'bfloat16', got '" + dtype + "'");
  return Value(device::GemmRate(library == "onednn" ? device::GemmLibrary::kOneDnn : device::GemmLibrary::kLibTorch,
                                dtype == "float32" ? device::GemmType::kFloat : device::GemmType::kBFloat16,
                                device::kProbeShape, threads, seconds));
}

double TrainingGemm(const std::string& device, double enough) {
  return Value(device::TrainingGemmRate(Value(device::Resolve(device)), enough));
}

json Bandwidth(int threads, double seconds) {
  const device::Bandwidth rate = Value(device::MemoryBandwidth(threads, seconds));
  return {{"copy", rate.copy},
          {"triad", rate.triad},
          {"buffer_bytes", rate.buffer_bytes},
          {"cache_bytes", rate.cache_bytes}};
}

std::optional<std::string> MissingPrecision(const std::string& name) {
  const absl::Status status = kernels::CheckPrecision({Value(kernels::ParsePrecision(name)), /*emulated=*/false});
  return status.ok() ? std::nullopt : std::optional(MessageOf(status));
}

std::optional<double> PairGain() {
  return kernels::HasNativePairs() ? std::optional(kernels::PairGain()) : std::nullopt;
}

std::optional<std::string> MissingPairs() {
  const absl::Status status = kernels::CheckPairs();
  return status.ok() ? std::nullopt : std::optional(MessageOf(status));
}

std::map<std::string, double> OpCosts(int64_t calls) {
  if (calls < 1) throw UsageError("diagnostics.op_costs: at least 1 call is needed, got " + std::to_string(calls));
  std::map<std::string, double> costs;
  for (const device::OpCost& cost : device::NativeOpCosts(calls)) costs[cost.name] = cost.seconds;
  return costs;
}

json Allocations() {
  return {{"count", memory::Allocations()},        {"large", memory::LargeAllocations()},
          {"large_bytes", memory::kLargeBytes},    {"fresh_blocks", memory::FreshBlocks()},
          {"keeps_blocks", memory::KeepsBlocks()}, {"resident_bytes", memory::ResidentBytes()}};
}

constexpr char kNativeText[] = "thrown in C++", kLuaText[] = "raised in Lua";

int ThrowNative(lua_State*) { throw std::runtime_error(kNativeText); }

// A Lua error that passes a C++ frame must destroy what lives there. Argument 1: the flag, a bool*.
int RaiseThroughFrame(lua_State* L) {
  struct Witness {
    bool* destroyed;
    ~Witness() { *destroyed = true; }
  } witness{static_cast<bool*>(lua_touserdata(L, 1))};
  return luaL_error(L, "%s", kLuaText);
}

// Calls `function` with a flag under pcall; gives the error's text. [-0, +0, m]
std::string ErrorOf(lua_State* L, lua_CFunction function, bool* flag) {
  lua_pushcfunction(L, function);
  lua_pushlightuserdata(L, flag);
  std::string text = "no error";
  if (lua_pcall(L, 1, 0, 0) != 0) {
    const char* message = lua_tostring(L, -1);
    text = message != nullptr ? message : luaL_typename(L, -1);
    lua_pop(L, 1);
  }
  return text;
}

std::vector<json> Exceptions(lua_State* L) {
  bool destroyed = false;
  const std::string native = ErrorOf(L, &Thunk<&ThrowNative>, &destroyed);
  const std::string foreign = ErrorOf(L, &ThrowNative, &destroyed);
  const std::string lua = ErrorOf(L, &Thunk<&RaiseThroughFrame>, &destroyed);
  const auto found = [](const std::string& text, const char* part) { return text.find(part) != std::string::npos; };
  return {{{"name", "a C++ exception becomes a Lua error with its text"},
           {"ok", found(native, kNativeText)},
           {"got", native}},
          {{"name", "a bare C++ exception stops at pcall"}, {"ok", foreign != "no error"}, {"got", foreign}},
          {{"name", "a Lua error passes C++ frames and keeps its text"}, {"ok", found(lua, kLuaText)}, {"got", lua}},
          {{"name", "and destroys the objects of those frames"},
           {"ok", destroyed},
           {"got", destroyed ? "destroyed" : "leaked"}}};
}

const std::vector<FunctionRow> kRows = {
    {"machine", "", "The machine a run records: CPU, flags, cores, threads, memory, load, host, BLAS.",
     Typed<&MachineFingerprint>, "require('lanthorn').diagnostics.machine().cpu"},
    {"libraries", "",
     "What is loaded: BLAS with its build and files, OpenMP runtimes, oneDNN with the instruction set it uses and what "
     "multiplies bf16 ('amx', 'avx512_bf16', 'none'), LibTorch, CUDA.",
     Typed<&Libraries>, "require('lanthorn').diagnostics.libraries().blas_threading"},
    {"gemm", "library, dtype, threads, seconds=0.2",
     "FLOP per second of (6400, 256) x (256, 768) products: library 'onednn' (dnnl_sgemm, float32) or 'libtorch' "
     "(at::mm; dtype 'float32' or 'bfloat16').",
     Typed<&Gemm>, "require('lanthorn').diagnostics.gemm('onednn', 'float32', 1, 0.01)"},
    {"training_gemm", "device, enough",
     "FLOP per second of float32 products as training uses the device; measured for longer where it is below `enough`.",
     Typed<&TrainingGemm>, "require('lanthorn').diagnostics.training_gemm('cpu', 0)"},
    {"bandwidth", "threads, seconds=0.2",
     "Bytes per second through memory, in arrays larger than the last cache: {copy=, triad=, buffer_bytes=, "
     "cache_bytes=}.",
     Typed<&Bandwidth>},
    {"missing_precision", "name",
     "Why this CPU cannot compute in a precision ('fp32_split', 'bf16') but by emulation; nothing if it can.",
     Typed<&MissingPrecision>, "require('lanthorn').diagnostics.missing_precision('fp32') == nil"},
    {"missing_pairs", "",
     "Why transformer blocks would gain nothing from train.precision='bf16' on this CPU; nothing if they do. Measured "
     "once.",
     Typed<&MissingPairs>},
    {"pair_gain", "",
     "How many times as fast as fp32 products the bf16 ones of transformer blocks are on one thread, measured once; "
     "nothing "
     "where the CPU has no AVX512_BF16.",
     Typed<&PairGain>},
    {"blas_threading", "",
     "How the loaded OpenBLAS makes its threads: 'openmp', 'pthreads', 'sequential' or 'unknown'.",
     Typed<&BlasThreading>, "require('lanthorn').diagnostics.blas_threading()"},
    {"op_costs", "calls", "Seconds of small operators called from C++ so many times, by name.", Typed<&OpCosts>,
     "require('lanthorn').diagnostics.op_costs(10).add"},
    {"allocations", "",
     "Tensor allocations of the process so far: {count=, large= (of at least large_bytes), large_bytes=, fresh_blocks= "
     "(large blocks asked of the system, since none that was kept fitted), keeps_blocks=, resident_bytes=}.",
     Typed<&Allocations>, "require('lanthorn').diagnostics.allocations().count"},
    {"exceptions", "",
     "Self-test: C++ exceptions and Lua errors pass each other's frames; a list of {name=, ok=, got=}.",
     Typed<&Exceptions>, "require('lanthorn').diagnostics.exceptions()[1].ok"},
};

}  // namespace

void OpenDiagnostics(lua_State* L) {
  lua_newtable(L);
  RegisterRows(L, "diagnostics", kRows);
  lua_setfield(L, -2, "diagnostics");
}

}  // namespace lanthorn::lua
