// Scopes for tests of kernels: a number of threads, an instruction set.
#pragma once

#include <ATen/Parallel.h>
#include <hwy/targets.h>

#include <functional>

namespace lanthorn::kernels {

class ThreadScope {
 public:
  explicit ThreadScope(int threads) : before_(at::get_num_threads()) { at::set_num_threads(threads); }
  ~ThreadScope() { at::set_num_threads(before_); }

 private:
  int before_;
};

// Calls body(name) once for each instruction set that this CPU has: other ones have other vector widths, and with them
// other panels and row blocks.
inline void ForEveryInstructionSet(const std::function<void(const char*)>& body) {
  const auto use = [](int64_t targets) {
    hwy::SetSupportedTargetsForTest(targets);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  };
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    use(target);
    body(hwy::TargetName(target));
  }
  use(0);
}

}  // namespace lanthorn::kernels
