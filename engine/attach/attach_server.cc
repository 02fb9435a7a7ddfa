#include "engine/attach/attach_server.h"

#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/files/socket_address.h"
#include "engine/base/quiet_thread.h"

namespace lanthorn {
namespace {

using nlohmann::json;

constexpr std::chrono::milliseconds kTick{200};  // how often the thread looks at the time

std::string ToLine(const json& message) { return message.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"; }

std::string UserName(uid_t user) {
  std::array<char, 1024> room;
  passwd entry;
  passwd* found = nullptr;
  if (getpwuid_r(user, &entry, room.data(), room.size(), &found) == 0 && found != nullptr) return found->pw_name;
  return absl::StrCat("uid ", user);
}

absl::StatusOr<FileDescriptor> Listen(const std::string& folder, const std::string& name) {
  const std::string path = folder + "/" + name;
  const FileDescriptor directory(open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return MachineError(ErrnoMessage(folder, "cannot open", errno));
  const auto address = SocketAddress(directory.get(), folder, name);
  if (!address) return MachineError(absl::StrCat("'", path, "': too long for a socket"));
  FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid()) return MachineError(ErrnoMessage(path, "cannot make a socket", errno));
  unlinkat(directory.get(), name.c_str(), 0);
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0)
    return MachineError(ErrnoMessage(path, "cannot make a socket", errno));
  // Nobody can connect before listen, so nobody comes in before this.
  if (fchmodat(directory.get(), name.c_str(), 0600, 0) != 0 || listen(socket.get(), 16) != 0)
    return MachineError(ErrnoMessage(path, "cannot listen", errno));
  return socket;
}

}  // namespace

struct AttachServer::Client {
  int64_t id = 0;
  FileDescriptor socket;
  std::string who, in, out;
  Clock::time_point heard = Clock::now();
  size_t queued = 0;
  int bad_lines = 0;
  bool leaving = false;  // after what is to be sent
  bool gone = false;
  bool asked = false;  // anything: the training knows of it
};

absl::StatusOr<std::unique_ptr<AttachServer>> AttachServer::Create(const std::string& folder, const std::string& name,
                                                                   json hello) {
  return Create(folder, name, std::move(hello), Limits());
}

absl::StatusOr<std::unique_ptr<AttachServer>> AttachServer::Create(const std::string& folder, const std::string& name,
                                                                   json hello, const Limits& limits) {
  LANTHORN_ASSIGN_OR_RETURN(FileDescriptor listener, Listen(folder, name));
  FileDescriptor wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.valid()) return MachineError(ErrnoMessage(folder, "cannot make an event", errno));
  return std::unique_ptr<AttachServer>(
      new AttachServer(folder + "/" + name, std::move(listener), std::move(wake), std::move(hello), limits));
}

AttachServer::AttachServer(std::string path, FileDescriptor listener, FileDescriptor wake, json hello,
                           const Limits& limits)
    : path_(std::move(path)),
      listener_(std::move(listener)),
      wake_(std::move(wake)),
      hello_(std::move(hello)),
      limits_(limits),
      thread_(StartQuietThread([this] { Serve(); })) {}

AttachServer::~AttachServer() {
  ending_ = true;
  Wake();
  thread_.join();
  unlink(path_.c_str());
}

void AttachServer::Wake() {
  const uint64_t one = 1;
  (void)!write(wake_.get(), &one, sizeof one);
}

std::optional<AttachRequest> AttachServer::Take() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (queue_.empty()) return std::nullopt;
  running_ = std::move(queue_.front().request);
  queue_.pop_front();
  CountWork();
  return running_;
}

std::vector<int64_t> AttachServer::TakeLeft() {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<int64_t> left;
  left.swap(left_);
  CountWork();
  return left;
}

void AttachServer::CountWork() { work_ = static_cast<int64_t>(queue_.size() + left_.size()); }

void AttachServer::Reply(const AttachRequest& request, json reply) {
  reply["id"] = request.id;
  const std::lock_guard<std::mutex> lock(mutex_);
  running_.reset();
  const auto found = clients_.find(request.client);
  if (found == clients_.end()) return;
  --found->second->queued;
  Send(found->second.get(), reply);
  Wake();
}

void AttachServer::Wait(std::chrono::milliseconds time) {
  std::unique_lock<std::mutex> lock(mutex_);
  arrived_.wait_for(lock, time, [this] { return !queue_.empty() || !left_.empty(); });
}

bool AttachServer::IsThere(int64_t client) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = clients_.find(client);
  return found != clients_.end() && !found->second->gone && Clock::now() - found->second->heard < limits_.silence;
}

void AttachServer::Tell(const AttachState& state) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (state.phase != state_.phase) phase_since_ = Clock::now();
  state_ = state;
  step_ = state.step;
}

void AttachServer::OnInterrupt(std::function<void()> interrupt) {
  const std::lock_guard<std::mutex> lock(mutex_);
  interrupt_ = std::move(interrupt);
}

// The thread. It holds the lock only while it works on memory, and never waits for a client.
void AttachServer::Serve() {
  while (!ending_) {
    const short comers = accepts_ ? POLLIN : 0;
    accepts_ = true;
    std::vector<pollfd> waits = {{listener_.get(), comers, 0}, {wake_.get(), POLLIN, 0}};
    std::vector<int64_t> ids;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (const auto& [id, client] : clients_) {
        const short events = static_cast<short>((client->leaving ? 0 : POLLIN) | (client->out.empty() ? 0 : POLLOUT));
        waits.push_back({client->socket.get(), events, 0});
        ids.push_back(id);
      }
    }
    if (poll(waits.data(), waits.size(), static_cast<int>(kTick.count())) < 0 && errno != EINTR) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    uint64_t count = 0;
    if (waits[1].revents != 0) (void)!read(wake_.get(), &count, sizeof count);
    if (waits[0].revents != 0) Accept();
    for (size_t i = 0; i < ids.size(); ++i) {
      Client* client = clients_.at(ids[i]).get();
      if ((waits[i + 2].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !client->leaving) Receive(client);
      if (!client->out.empty() && !client->gone) Flush(client);
      if (client->gone || (client->leaving && client->out.empty())) Drop(client->id);
    }
    TellWaiting();
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [id, client] : clients_) Flush(client.get());  // the last answers
}

void AttachServer::Accept() {
  FileDescriptor socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket.valid()) {
    accepts_ = false;
    return;
  }
  ucred peer{};
  socklen_t size = sizeof peer;
  auto client = std::make_unique<Client>();
  client->id = next_client_++;
  client->socket = std::move(socket);
  const bool known = getsockopt(client->socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
  Client* added = clients_.emplace(client->id, std::move(client)).first->second.get();
  if (!known || (peer.uid != geteuid() && peer.uid != 0)) {
    return Refuse(added, absl::StrCat("this run belongs to ", UserName(geteuid()), "; only they may attach"), true);
  }
  if (clients_.size() > limits_.clients) {
    return Refuse(added, absl::StrFormat("%d others are attached already", limits_.clients), true);
  }
  added->who = UserName(peer.uid);
  json hello = hello_;
  hello["step"] = step_.load();
  hello["steps"] = state_.steps;
  hello["phase"] = state_.phase;
  Send(added, {{"hello", hello}});
  Flush(added);
}

void AttachServer::Receive(Client* client) {
  std::array<char, 64 * 1024> room;
  const ssize_t got = recv(client->socket.get(), room.data(), room.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    client->gone = true;
    return;
  }
  client->heard = Clock::now();
  client->in.append(room.data(), static_cast<size_t>(got));
  size_t begin = 0;
  for (size_t end; (end = client->in.find('\n', begin)) != std::string::npos && !client->leaving; begin = end + 1)
    Handle(client, client->in.substr(begin, end - begin));
  client->in.erase(0, begin);
  if (client->in.size() > limits_.line && !client->leaving)
    Refuse(client, absl::StrFormat("a line is longer than %d bytes", limits_.line), true);
}

void AttachServer::Handle(Client* client, const std::string& line) {
  const json message = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (message.is_object() && message.contains("alive")) return;
  if (message.is_object() && message.contains("interrupt")) {
    if (running_ && running_->client == client->id && interrupt_) interrupt_();
    return;
  }
  for (const char* kind : {"run", "complete"}) {
    const bool fits = message.is_object() && message.contains(kind) && message[kind].is_string() &&
                      message.contains("id") && message["id"].is_number_integer();
    if (!fits) continue;
    if (client->queued >= limits_.queued) {
      const std::string why = absl::StrFormat("%d lines wait already; this one is dropped\n", client->queued);
      Send(client, {{"id", message["id"]}, {"text", why}, {"failed", true}});
      return Flush(client);
    }
    const auto width = message.find("columns");
    const int64_t columns = width != message.end() && width->is_number_integer() ? width->get<int64_t>() : 80;
    ++client->queued;
    client->asked = true;
    queue_.push_back(
        {{client->id, message["id"].get<int64_t>(), client->who, kind, message[kind].get<std::string>(), columns},
         Clock::now(),
         false});
    CountWork();
    arrived_.notify_all();
    return;
  }
  const bool leave = ++client->bad_lines >= limits_.bad_lines;
  Refuse(client, R"(not a request; one is {"id": 1, "run": "fit.lr"})", leave);
}

void AttachServer::Refuse(Client* client, const std::string& why, bool leave) {
  Send(client, {{"error", why}});
  client->leaving = client->leaving || leave;
  Flush(client);
}

// A client that does not read is not waited for.
void AttachServer::Send(Client* client, const json& message) {
  client->out += ToLine(message);
  if (client->out.size() > limits_.unread) client->gone = true;
}

void AttachServer::Flush(Client* client) {
  while (!client->out.empty()) {
    const ssize_t put = send(client->socket.get(), client->out.data(), client->out.size(), MSG_NOSIGNAL);
    if (put < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (put <= 0) {
      client->gone = true;
      return;
    }
    client->out.erase(0, static_cast<size_t>(put));
  }
}

void AttachServer::Drop(int64_t id) {
  if (clients_.at(id)->asked) left_.push_back(id);
  clients_.erase(id);
  const auto of_client = [id](const Queued& queued) { return queued.request.client == id; };
  queue_.erase(std::remove_if(queue_.begin(), queue_.end(), of_client), queue_.end());
  CountWork();
  arrived_.notify_all();
  if (running_ && running_->client == id && interrupt_) interrupt_();
}

void AttachServer::TellWaiting() {
  const Clock::time_point now = Clock::now();
  for (Queued& queued : queue_) {
    const auto client = clients_.find(queued.request.client);
    if (queued.told || now - queued.since < limits_.tell_wait || client == clients_.end()) continue;
    queued.told = true;
    const double seconds = std::chrono::duration<double>(now - phase_since_).count();
    const std::string doing = state_.phase == "train" ? absl::StrFormat("is busy after update %d", step_.load())
                                                      : absl::StrFormat("is in %s for %.0f s", state_.phase, seconds);
    Send(client->second.get(),
         {{"id", queued.request.id}, {"wait", "the training " + doing + "; your line runs at its next step boundary"}});
    Flush(client->second.get());
  }
}

}  // namespace lanthorn
