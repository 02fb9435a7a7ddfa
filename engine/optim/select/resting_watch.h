// Whether updates leave alone what the optimiser's mask holds back, bit for bit (guard G43): a factor of 0 must mean
// that neither momentum nor weight decay nor rounding reached the weights.
#pragma once

#include <memory>
#include <string>

namespace lanthorn::optim {

class Optimizer;

// Stands between an optimiser and its mask for its lifetime. Without a mask it sees nothing.
class RestingWatch {
 public:
  explicit RestingWatch(Optimizer* optimizer);
  ~RestingWatch();
  RestingWatch(const RestingWatch&) = delete;
  RestingWatch& operator=(const RestingWatch&) = delete;

  // Whether the updates from now on are compared. It costs a copy of all masked parameters and a read of the device for
  // each of them. A mask of gradients alone promises nothing and is passed over; with lazy state it does.
  void Look(bool on);
  // The first parameter of which the last update, if it was looked at, has moved a part that had to stay: "'name',
  // slice i"; empty: none.
  const std::string& moved() const;

 private:
  class Mask;
  Optimizer* optimizer_;
  std::shared_ptr<Mask> mask_;
};

}  // namespace lanthorn::optim
