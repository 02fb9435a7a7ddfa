// SHA-256 over pieces, by OpenSSL.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

namespace lanthorn {

class Sha256 {
 public:
  Sha256();
  void Update(const void* data, size_t bytes);
  // 64 lower-case hex digits; nothing may be added after it.
  std::string Hex();

 private:
  struct Free {
    void operator()(void* context) const;
  };
  std::unique_ptr<void, Free> context_;
};

}  // namespace lanthorn
