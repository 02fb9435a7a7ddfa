// Puts LibTorch's default CPU generator back at the end of its life, so that measuring does not shift the draws of
// training.
#pragma once

#include <ATen/CPUGeneratorImpl.h>

namespace lanthorn::train {

class RandomState {
 public:
  RandomState() : generator_(at::detail::getDefaultCPUGenerator()), state_(generator_.get_state()) {}
  ~RandomState() { generator_.set_state(state_); }
  RandomState(const RandomState&) = delete;
  RandomState& operator=(const RandomState&) = delete;

 private:
  at::Generator generator_;
  at::Tensor state_;
};

}  // namespace lanthorn::train
