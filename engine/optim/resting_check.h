// Whether an update left alone what its mask holds back, bit for bit (guard G43): a factor of 0 must mean that
// neither momentum nor weight decay nor rounding reached the weights.
#pragma once

#include <string>
#include <vector>

#include "engine/optim/update_mask.h"

namespace lanthorn::optim {

class RestingCheck {
 public:
  // Before an update: remembers `parameter` where `mask` says that parts of it stay. A mask of gradients
  // alone promises nothing and is passed over; with lazy state it does.
  void Keep(const NamedParameter& parameter, const PartMask& mask);
  // After the update: the first parameter of which a part that had to stay has other bits, as "'name', slice i", or
  // empty. Lets all values go. One read of the device for each parameter kept.
  std::string Moved();

 private:
  struct Entry {
    NamedParameter parameter;
    at::Tensor before;
    at::Tensor rests;  // bool, broadcasts to the parameter
  };
  std::vector<Entry> entries_;
};

}  // namespace lanthorn::optim
