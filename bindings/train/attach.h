// A training that clients can attach to: an observer that answers their requests by a Lua function.
#pragma once

#include <memory>
#include <string>

#include "bindings/train/lua_callback.h"
#include "engine/attach/attach_server.h"
#include "engine/train/report/records.h"

namespace lanthorn::lua {

struct LuaTrainer;

class Attach final : public train::Observer {
 public:
  Attach(LuaTrainer* owner, std::unique_ptr<AttachServer> server, LuaFunction answer);

  absl::Status OnStep(const train::StepRecord& record, train::Control* control) override;
  void OnPhase(const std::string& phase) override;
  // The training waits for this client; 0: it goes on.
  void Pause(int64_t client) { paused_by_ = client; }

 private:
  void Serve();
  void Answer(const AttachRequest& request);
  nlohmann::json Ask(const nlohmann::json& request);

  LuaTrainer* owner_;
  std::unique_ptr<AttachServer> server_;
  LuaCallback answer_;
  AttachState state_;
  int64_t paused_by_ = 0;
};

}  // namespace lanthorn::lua
