// The address of a Unix socket in a folder. An address has room for 107 bytes: a longer path is reached through the
// folder's descriptor.
#pragma once

#include <sys/un.h>

#include <cstring>
#include <optional>
#include <string>

namespace lanthorn {

// `descriptor` is of the open folder, and stays open while the address is used. Nothing where the name alone is too
// long.
inline std::optional<sockaddr_un> SocketAddress(int descriptor, const std::string& folder, const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string path = folder + "/" + name;
  if (path.size() >= sizeof address.sun_path) path = "/proc/self/fd/" + std::to_string(descriptor) + "/" + name;
  if (path.size() >= sizeof address.sun_path) return std::nullopt;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

}  // namespace lanthorn
