#include "engine/attach/attach_server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "tests/engine/temporary_folder.h"

namespace lanthorn {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// A client that reads whole lines.
class Client {
 public:
  explicit Client(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    connected_ = connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    const timeval patience{10, 0};
    setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  bool connected() const { return connected_; }
  void Send(const std::string& text) { EXPECT_GE(send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL), 0); }
  // Null at the end.
  json Receive() {
    size_t end;
    while ((end = buffer_.find('\n')) == std::string::npos) {
      char room[4096];
      const ssize_t got = recv(socket_.get(), room, sizeof room, 0);
      if (got <= 0) return nullptr;
      buffer_.append(room, static_cast<size_t>(got));
    }
    const json message = json::parse(buffer_.substr(0, end));
    buffer_.erase(0, end + 1);
    return message;
  }

 private:
  FileDescriptor socket_;
  bool connected_ = false;
  std::string buffer_;
};

// The request that comes next.
AttachRequest Next(AttachServer& server) {
  for (;;) {
    if (auto request = server.Take()) return *request;
    server.Wait(milliseconds(100));
  }
}

class AttachServerTest : public ::testing::Test {
 protected:
  void Listen(const AttachServer::Limits& limits = {}) {
    auto server = AttachServer::Create(folder_.path(), "attach.sock", {{"run", "r"}}, limits);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    server_->Tell({.step = 7, .steps = 9, .phase = "train"});
  }
  std::string Path() const { return folder_.path() + "/attach.sock"; }

  TemporaryFolder folder_;
  std::unique_ptr<AttachServer> server_;
};

TEST_F(AttachServerTest, ARequestIsAnsweredToItsClientAlone) {
  Listen();
  Client one(Path()), two(Path());
  EXPECT_EQ(one.Receive()["hello"]["step"], 7);
  EXPECT_EQ(two.Receive()["hello"]["run"], "r");
  EXPECT_FALSE(server_->has_work());
  one.Send("{\"id\": 3, \"run\": \"x\", \"columns\": 60}\n");
  const AttachRequest request = Next(*server_);
  EXPECT_EQ(request.id, 3);
  EXPECT_EQ(request.kind, "run");
  EXPECT_EQ(request.text, "x");
  EXPECT_EQ(request.columns, 60);
  EXPECT_TRUE(server_->IsThere(request.client));
  two.Send("{\"id\": 1, \"complete\": \"y\"}\n");
  const AttachRequest other = Next(*server_);
  server_->Reply(request, {{"text", "a\xff"}});
  server_->Reply(other, {{"text", "b"}});
  const json answer = one.Receive();
  EXPECT_EQ(answer["id"], 3);
  EXPECT_EQ(answer["text"].get<std::string>().front(), 'a');
  EXPECT_EQ(two.Receive()["text"], "b");
}

TEST_F(AttachServerTest, OneThatWaitsForLongIsToldWhatTheTrainingDoes) {
  Listen({.tell_wait = milliseconds(1)});
  server_->Tell({.step = 7, .steps = 9, .phase = "eval"});
  Client client(Path());
  client.Receive();
  client.Send("{\"id\": 1, \"run\": \"x\"}\n");
  const json wait = client.Receive();
  EXPECT_EQ(wait["id"], 1);
  EXPECT_NE(wait["wait"].get<std::string>().find("is in eval for"), std::string::npos);
}

TEST_F(AttachServerTest, WhatIsNoRequestIsRefusedAndThenSentAway) {
  Listen({.line = 100});
  Client garbage(Path());
  garbage.Receive();
  garbage.Send("nonsense\n{\"id\": \"x\", \"run\": 1}\n[]\n");
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(garbage.Receive().contains("error"));
  EXPECT_TRUE(garbage.Receive().is_null());
  Client endless(Path());
  endless.Receive();
  endless.Send(std::string(200, 'x'));
  EXPECT_EQ(endless.Receive()["error"], "a line is longer than 100 bytes");
  EXPECT_TRUE(endless.Receive().is_null());
  EXPECT_FALSE(server_->has_work());
}

TEST_F(AttachServerTest, AFloodOfRequestsIsCutAtTheQueue) {
  Listen({.queued = 2});
  Client client(Path());
  client.Receive();
  for (int i = 0; i < 4; ++i) client.Send("{\"id\": " + std::to_string(i) + ", \"run\": \"x\"}\n");
  // Refused by their numbers, so that whoever waits for them is not left waiting.
  for (const int id : {2, 3}) {
    const json refused = client.Receive();
    EXPECT_EQ(refused["id"], id);
    EXPECT_TRUE(refused["failed"].get<bool>());
  }
  EXPECT_EQ(Next(*server_).id, 0);
  EXPECT_EQ(Next(*server_).id, 1);
  EXPECT_FALSE(server_->Take().has_value());
}

TEST_F(AttachServerTest, AClientThatDoesNotReadIsDroppedAndNeverWaitedFor) {
  Listen({.unread = 1000});
  Client client(Path());
  client.Receive();
  client.Send("{\"id\": 1, \"run\": \"x\"}\n");
  const AttachRequest request = Next(*server_);
  const auto begin = steady_clock::now();
  server_->Reply(request, {{"text", std::string(100'000'000, 'x')}});
  EXPECT_LT(steady_clock::now() - begin, std::chrono::seconds(20));  // and not for ever
  for (int i = 0; i < 1000 && server_->IsThere(request.client); ++i) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_FALSE(server_->IsThere(request.client));
}

TEST_F(AttachServerTest, OneThatLeavesTakesItsRequestsAlongAndInterruptsWhatRunsForIt) {
  Listen();
  std::atomic<int> interrupts{0};
  server_->OnInterrupt([&] { ++interrupts; });
  int64_t id;
  {
    Client client(Path());
    client.Receive();
    client.Send("{\"id\": 1, \"run\": \"x\"}\n{\"id\": 2, \"run\": \"y\"}\n");
    const AttachRequest request = Next(*server_);
    id = request.client;
    client.Send("{\"interrupt\": true}\n");
    while (interrupts == 0) std::this_thread::sleep_for(milliseconds(1));
  }
  while (server_->IsThere(id)) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_EQ(interrupts, 2);
  EXPECT_TRUE(server_->has_work());
  EXPECT_EQ(server_->TakeLeft(), std::vector<int64_t>{id});
  EXPECT_FALSE(server_->has_work());
  EXPECT_FALSE(server_->Take().has_value());
}

TEST_F(AttachServerTest, SilenceIsAbsence) {
  Listen({.silence = milliseconds(50)});
  Client client(Path());
  client.Receive();
  client.Send("{\"id\": 1, \"run\": \"x\"}\n");
  const AttachRequest request = Next(*server_);
  while (server_->IsThere(request.client)) std::this_thread::sleep_for(milliseconds(5));
  client.Send("{\"alive\": true}\n");
  while (!server_->IsThere(request.client)) std::this_thread::sleep_for(milliseconds(5));
}

TEST_F(AttachServerTest, ALongPathIsReachedAndWhatIsLeftOverGoes) {
  const std::string folder = folder_.path() + "/" + std::string(120, 'd');
  ASSERT_EQ(mkdir(folder.c_str(), 0777), 0);
  {
    auto server = AttachServer::Create(folder, "attach.sock", {});
    ASSERT_TRUE(server.ok()) << server.status();
    struct stat info;
    ASSERT_EQ(stat((folder + "/attach.sock").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u);
  }
  EXPECT_NE(access((folder + "/attach.sock").c_str(), F_OK), 0);
  EXPECT_FALSE(AttachServer::Create("/proc/self", "attach.sock", {}).ok());
}

TEST_F(AttachServerTest, ThereAreOnlySoManyAtOnce) {
  Listen({.clients = 1});
  Client one(Path()), two(Path());
  EXPECT_TRUE(one.Receive().contains("hello"));
  EXPECT_EQ(two.Receive()["error"], "1 others are attached already");
}

}  // namespace
}  // namespace lanthorn
