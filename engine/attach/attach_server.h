// A way into a running training: a Unix socket that a thread of its own serves, so that no client can hold the training
// up. Requests wait in a queue until the training takes them, between two updates.
//
// One JSON object to a line. From a client: {"id": i, "run": TEXT, "columns": i} or {"id": i, "complete": TEXT} for the
// training, {"interrupt": true} to stop what runs for it, {"alive": true} now and then. To a client: {"hello": {...}}
// first; for each request {"id": i, "wait": TEXT} when it has to wait for long, then {"id": i, "text": TEXT, ...};
// {"error": TEXT} for what is not a request.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/files/files.h"
#include "engine/base/status.h"

namespace lanthorn {

struct AttachRequest {
  int64_t client = 0, id = 0;
  std::string who;   // the user at the other end
  std::string kind;  // run or complete
  std::string text;
  int64_t columns = 80;  // of the terminal at the other end
};

// What clients hear of the training beside the answers.
struct AttachState {
  int64_t step = 0, steps = 0;
  std::string phase = "load";
};

class AttachServer {
 public:
  struct Limits {
    size_t clients = 16, line = 64 * 1024, unread = 4 * 1024 * 1024, queued = 32;
    int bad_lines = 3;                          // then a client is sent away
    std::chrono::milliseconds tell_wait{1000};  // a request that waits so long is told of it
    std::chrono::milliseconds silence{5000};    // a client that says nothing for so long is not there any more
  };

  // Listens at `folder`/`name`, however long that path is, for the owner of the process alone. What a dead process left
  // there goes. MachineError where the file system has no sockets.
  static absl::StatusOr<std::unique_ptr<AttachServer>> Create(const std::string& folder, const std::string& name,
                                                              nlohmann::json hello);
  static absl::StatusOr<std::unique_ptr<AttachServer>> Create(const std::string& folder, const std::string& name,
                                                              nlohmann::json hello, const Limits& limits);
  ~AttachServer();
  AttachServer(const AttachServer&) = delete;
  AttachServer& operator=(const AttachServer&) = delete;

  // For the training's thread. Whether a request waits or a client has left; it costs a load.
  bool has_work() const { return work_.load(std::memory_order_relaxed) > 0; }
  // Clients that are gone since the last call, of those that have asked anything.
  std::vector<int64_t> TakeLeft();
  // The request that came first; it counts as running until its Reply.
  std::optional<AttachRequest> Take();
  void Reply(const AttachRequest& request, nlohmann::json reply);
  // Sleeps until a request comes, or for so long.
  void Wait(std::chrono::milliseconds time);
  // Whether the client is connected and has been heard of lately.
  bool IsThere(int64_t client) const;
  void Tell(const AttachState& state);
  void Step(int64_t step) { step_.store(step, std::memory_order_relaxed); }

  // Called from the server's thread when a client wants what runs for it stopped, or leaves meanwhile.
  void OnInterrupt(std::function<void()> interrupt);

 private:
  struct Client;
  using Clock = std::chrono::steady_clock;
  struct Queued {
    AttachRequest request;
    Clock::time_point since;
    bool told = false;
  };

  AttachServer(std::string path, FileDescriptor listener, FileDescriptor wake, nlohmann::json hello,
               const Limits& limits);
  void Serve();
  void Accept();
  void Receive(Client* client);
  void Handle(Client* client, const std::string& line);
  void Refuse(Client* client, const std::string& why, bool leave);
  void Send(Client* client, const nlohmann::json& message);
  void Flush(Client* client);
  void Drop(int64_t id);
  void TellWaiting();
  void CountWork();
  void Wake();

  const std::string path_;
  const FileDescriptor listener_, wake_;
  const nlohmann::json hello_;
  const Limits limits_;
  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::map<int64_t, std::unique_ptr<Client>> clients_;
  std::deque<Queued> queue_;
  std::optional<AttachRequest> running_;
  std::vector<int64_t> left_;
  AttachState state_;
  Clock::time_point phase_since_ = Clock::now();
  std::function<void()> interrupt_;
  std::atomic<int64_t> work_{0}, step_{0};
  std::atomic<bool> ending_{false};
  int64_t next_client_ = 1;
  bool accepts_ = true;  // not for a tick, where there was no descriptor for a client
  std::thread thread_;
};

}  // namespace lanthorn
