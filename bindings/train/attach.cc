// `runner attach`: requests of clients (engine/attach) answered by a Lua function at step boundaries.
#include "bindings/train/attach.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>

#include "bindings/lua/json.h"
#include "bindings/lua/running.h"
#include "bindings/lua/typed.h"
#include "bindings/train/lua_callback.h"
#include "bindings/train/trainer.h"
#include "engine/train/eval/eval_scope.h"
#include "engine/train/state/random_state.h"

namespace lanthorn::lua {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Of one boundary: what waits behind it runs at the next one.
constexpr milliseconds kBudget{50}, kPausedTick{100};

// Whether a line of a client runs now, which its Ctrl-C may stop; and whether one came for the request that is
// answered.
std::atomic<bool> line_runs{false}, interrupt_wanted{false};

void RaiseFromHook(lua_State* L, lua_Debug*) {
  lua_sethook(L, nullptr, 0, 0);
  luaL_error(L, "interrupted");
}

void RaiseSoon(lua_State* L) { lua_sethook(L, RaiseFromHook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1); }

// In the main thread, as its debugger would: the server's thread sends the signal there.
void OnInterrupt(int) {
  interrupt_wanted = true;
  lua_State* L = RunningState();
  if (line_runs && L != nullptr) RaiseSoon(L);
}

void InstallInterrupt(AttachServer* server) {
  struct sigaction action = {};
  action.sa_handler = &OnInterrupt;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGURG, &action, nullptr);
  server->OnInterrupt([main = pthread_self()] { pthread_kill(main, SIGURG); });
}

}  // namespace

Attach::Attach(LuaTrainer* owner, std::unique_ptr<AttachServer> server, LuaFunction answer)
    : owner_(owner), server_(std::move(server)), answer_(std::move(answer)) {
  InstallInterrupt(server_.get());
}

void Attach::OnPhase(const std::string& phase) {
  state_.phase = phase;
  state_.steps = owner_->trainer->planned_steps();
  server_->Tell(state_);
}

absl::Status Attach::OnStep(const train::StepRecord& record, train::Control*) {
  state_.step = record.step;
  server_->Step(record.step);
  if (!server_->has_work()) return absl::OkStatus();
  const train::RandomState random;  // a client draws none of the training's numbers
  Serve();
  return absl::OkStatus();
}

// Answers what is queued, and waits while the training is paused.
void Attach::Serve() {
  server_->Tell(state_);
  for (;;) {
    for (const int64_t client : server_->TakeLeft()) Ask({{"kind", "left"}, {"client", client}});
    const auto begin = steady_clock::now();
    while (steady_clock::now() - begin < kBudget) {
      interrupt_wanted = false;
      const auto request = server_->Take();
      if (!request) break;
      Answer(*request);
    }
    if (paused_by_ == 0) return;
    if (train::StopRequested() || !server_->IsThere(paused_by_)) {  // the loop acts on the first
      Ask({{"kind", "unpause"}, {"client", paused_by_}});
      paused_by_ = 0;
      return;
    }
    if (owner_->life != nullptr) owner_->life->Tick();
    server_->Wait(kPausedTick);
  }
}

void Attach::Answer(const AttachRequest& request) {
  owner_->ClearProgress();
  const train::KeptModes modes(owner_->trainer->model());  // to look at a model in eval mode is not to leave it there
  server_->Reply(request, Ask({{"kind", request.kind},
                               {"client", request.client},
                               {"who", request.who},
                               {"text", request.text},
                               {"columns", request.columns}}));
}

// What Lua answers. An error there is the client's and never the training's.
nlohmann::json Attach::Ask(const nlohmann::json& request) {
  nlohmann::json reply = nlohmann::json::object();
  const absl::Status status =
      answer_.Call(LuaCallback::Tensors::kStay, request, 1, [&reply](lua_State* state, int first) {
        if (lua_istable(state, first)) reply = ReadJson(state, first);
      });
  if (!status.ok()) return {{"text", "error: " + MessageOf(status) + "\n"}, {"failed", true}};
  return reply;
}

namespace {

// Why nobody can attach, where that is so.
std::optional<std::string> Listen(LuaTrainer& self, const std::string& folder, const std::string& name,
                                  const nlohmann::json& hello, LuaFunction answer) {
  auto server = AttachServer::Create(folder, name, hello);
  if (!server.ok()) return MessageOf(server.status());
  self.attach = std::make_shared<Attach>(&self, *std::move(server), std::move(answer));
  self.trainer->AddObserver(self.attach);
  return std::nullopt;
}

void Pause(LuaTrainer& self, int64_t client) {
  if (self.attach != nullptr) self.attach->Pause(client);
}

// interruptible(f): as pcall(f), with what Ctrl-C of a client does confined to it.
int Interruptible(lua_State* L) {
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  line_runs = true;
  if (interrupt_wanted) RaiseSoon(L);  // it came before the line began
  const int failed = lua_pcall(L, 0, LUA_MULTRET, 0);
  line_runs = false;
  lua_sethook(L, nullptr, 0, 0);
  lua_pushboolean(L, failed == 0);
  lua_insert(L, 2);
  return lua_gettop(L) - 1;
}

std::string StateHash(LuaTrainer& self) { return self.trainer->StateHash(); }

const std::vector<FunctionRow> kMethods = {
    {"Trainer:listen", "folder, name, hello, answer",
     "From here to close() a Unix socket takes requests; at step boundaries answer({kind=, client=, who=, text=, "
     "columns=}) gives the reply. Gives the reason where there can be no socket.",
     Typed<&Listen>},
    {"Trainer:pause", "client",
     "In an answer: the training waits from here on until this is called with 0, or that client leaves.",
     Typed<&Pause>},
    {"Trainer:interruptible", "(function f) -> ...",
     "In an answer: what pcall(f) gives, and there alone the client's Ctrl-C raises an error.", &Thunk<&Interruptible>},
    {"Trainer:state_hash", "",
     "One number, as text, for all weights, buffers and state of the optimiser: equal before and behind something that "
     "only looked.",
     Typed<&StateHash>},
};

}  // namespace

void RegisterAttach(lua_State* L) { RegisterRows(L, "train", kMethods); }

}  // namespace lanthorn::lua
