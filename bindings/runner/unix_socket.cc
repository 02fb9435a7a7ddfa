// The client's end of `runner attach`: a Unix socket, and a thread that tells the other end every second that somebody
// is here.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "bindings/runner/host.h"
#include "engine/base/files/socket_address.h"
#include "engine/base/quiet_thread.h"

namespace lanthorn::runner {
namespace {

struct Connection {
  int fd = -1;
  std::mutex mutex;
  std::condition_variable ended;
  bool ending = false;
  std::thread alive;

  void Close() {
    if (fd < 0) return;
    {
      const std::lock_guard<std::mutex> lock(mutex);
      ending = true;
    }
    ended.notify_all();
    alive.join();
    close(fd);
    fd = -1;
  }
  ~Connection() { Close(); }  // os.exit, or an error that nobody caught
};

// One at a time.
Connection& TheConnection() {
  static Connection connection;
  return connection;
}

// All of the text, or false.
bool SendAll(int fd, const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    const ssize_t put = send(fd, text.data() + at, text.size() - at, MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    at += static_cast<size_t>(put);
  }
  return true;
}

void KeepAlive() {
  Connection& self = TheConnection();
  std::unique_lock<std::mutex> lock(self.mutex);
  while (!self.ended.wait_for(lock, std::chrono::seconds(1), [&] { return self.ending; }))
    SendAll(self.fd, "{\"alive\":true}\n");
}

// socket_connect(folder, name): true, or nil, message, errno.
int Connect(lua_State* L) {
  const std::string folder = luaL_checkstring(L, 1), name = luaL_checkstring(L, 2), whole = folder + "/" + name;
  const int directory = open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return PushFailure(L, folder.c_str(), errno);
  const auto address = SocketAddress(directory, folder, name);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int rc = address ? connect(fd, reinterpret_cast<const sockaddr*>(&*address), sizeof *address) : -1;
  const int error = address ? errno : ENAMETOOLONG;
  close(directory);
  if (rc != 0) {
    close(fd);
    PushFailure(L, whole.c_str(), error);
    lua_pushinteger(L, error);
    return 3;
  }
  Connection& self = TheConnection();
  self.fd = fd;
  self.ending = false;
  self.alive = StartQuietThread(&KeepAlive);
  lua_pushboolean(L, 1);
  return 1;
}

// socket_send(text): false when the other end is gone.
int Send(lua_State* L) {
  size_t size = 0;
  const char* text = luaL_checklstring(L, 1, &size);
  const std::lock_guard<std::mutex> lock(TheConnection().mutex);
  lua_pushboolean(L, SendAll(TheConnection().fd, std::string(text, size)));
  return 1;
}

// socket_receive(seconds): what came, "" when the other end is gone; nil after the time, or when a signal came.
int Receive(lua_State* L) {
  pollfd wait{TheConnection().fd, POLLIN, 0};
  const int ready = poll(&wait, 1, static_cast<int>(1000 * luaL_checknumber(L, 1)));
  if (ready <= 0) return 0;
  static char room[65536];
  const ssize_t got = recv(TheConnection().fd, room, sizeof room, 0);
  if (got < 0 && errno == EINTR) return 0;
  lua_pushlstring(L, room, got > 0 ? static_cast<size_t>(got) : 0);
  return 1;
}

int Close(lua_State*) {
  TheConnection().Close();
  return 0;
}

constexpr luaL_Reg kFunctions[] = {{"socket_connect", Connect},
                                   {"socket_send", Send},
                                   {"socket_receive", Receive},
                                   {"socket_close", Close},
                                   {nullptr, nullptr}};

}  // namespace

void RegisterUnixSocket(lua_State* L) {
  luaL_register(L, nullptr, kFunctions);
  // socket_errors: the errors that callers tell apart, by name.
  lua_newtable(L);
  for (const auto& [name, number] : {std::pair{"missing", ENOENT}, {"refused", ECONNREFUSED}, {"denied", EACCES}}) {
    lua_pushinteger(L, number);
    lua_setfield(L, -2, name);
  }
  lua_setfield(L, -2, "socket_errors");
}

}  // namespace lanthorn::runner
