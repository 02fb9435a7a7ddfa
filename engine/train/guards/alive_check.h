// The first steps' check that training reaches every parameter (guard G30): each trainable one has a gradient after
// the first update, and by the tenth had a finite non-zero one and moved.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/nn/module.h"

namespace lanthorn::train {

class AliveCheck {
 public:
  static constexpr int64_t kUpdates = 10;

  // Remembers the values before the first update. Parameters of the names `allowed` are not looked at; those that
  // `may_rest`, since updates are selective, need a gradient but not move.
  explicit AliveCheck(const std::vector<nn::NamedParameter>& parameters, const std::vector<std::string>& allowed = {},
                      const std::function<bool(const nn::NamedParameter&)>& may_rest = nullptr);

  // Looks at gradients and values after update number `step` (1-based); call it before gradients are cleared.
  absl::Status AfterUpdate(int64_t step, bool last);
  bool done() const { return waiting_.empty(); }

 private:
  struct Waiting {
    nn::NamedParameter parameter;
    at::Tensor before;
    bool had_gradient = false, moved = false;
  };
  std::vector<Waiting> waiting_;
};

// Every parameter and gradient on `device`, else a machine error naming the first that is not (guard G01).
absl::Status CheckDevices(const std::vector<nn::NamedParameter>& parameters, c10::Device device);

}  // namespace lanthorn::train
