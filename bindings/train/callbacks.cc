// Lua functions that a training calls: after updates and epochs, before updates, on warnings and rollbacks.
#include "absl/strings/str_cat.h"
#include "bindings/lua/typed.h"
#include "bindings/train/lua_callback.h"
#include "bindings/train/records.h"
#include "bindings/train/trainer.h"

namespace lanthorn::lua {
namespace {

using Tensors = LuaCallback::Tensors;

// Calls a Lua function with a record; the function may print, so the bar goes first.
template <typename Record, typename... Read>
absl::Status Tell(const LuaTrainer& owner, const LuaCallback& callback, Tensors tensors, const Record& record,
                  const Read&... read) {
  owner.ClearProgress();
  return callback.Call(tensors, record, read...);
}

// The same with a function that may return 'stop', reason.
template <typename Record>
absl::Status TellOrStop(const LuaTrainer& owner, const LuaCallback& callback, const Record& record,
                        train::Control* control) {
  return Tell(owner, callback, Tensors::kEnd, record, 2, [control](lua_State* L, int first) {
    if (TextAt(L, first) != "stop") return;
    control->stop = true;
    control->reason = lua_type(L, first + 1) == LUA_TSTRING ? TextAt(L, first + 1) : "a callback asked to stop";
  });
}

struct Callback : train::Observer {
  Callback(const LuaTrainer* trainer, LuaFunction called) : owner(trainer), function(std::move(called)) {}
  train::Phase phase() const override { return train::Phase::kCallbacks; }

  const LuaTrainer* owner;
  LuaCallback function;
};

struct OnStepCallback final : Callback {
  OnStepCallback(const LuaTrainer* trainer, LuaFunction called, int64_t updates)
      : Callback(trainer, std::move(called)), every(updates) {}
  absl::Status OnStep(const train::StepRecord& record, train::Control* control) override {
    return record.step % every == 0 ? TellOrStop(*owner, function, record, control) : absl::OkStatus();
  }
  int64_t every;
};

struct OnEpochCallback final : Callback {
  using Callback::Callback;
  absl::Status OnEpoch(const train::EpochRecord& record, train::Control* control) override {
    return TellOrStop(*owner, function, record, control);
  }
};

struct BeforeUpdateCallback final : Callback {
  using Callback::Callback;
  absl::Status BeforeUpdate(const train::StepRecord& record, train::Verdict* verdict) override {
    return function.Call(Tensors::kEnd, record, 1, [verdict](lua_State* L, int first) {
      const std::string answer = TextAt(L, first);
      if (answer == "skip") *verdict = train::Verdict::kSkip;
      if (answer == "again") *verdict = train::Verdict::kAgain;
    });
  }
};

struct OnWarningCallback final : Callback {
  using Callback::Callback;
  train::Phase phase() const override { return train::Observer::phase(); }
  absl::Status OnWarning(const train::Warning& warning) override {
    return Tell(*owner, function, Tensors::kStay, warning);
  }
};

// Gives Lua back what its side had when the checkpoint was made.
struct OnRollbackCallback final : Callback {
  using Callback::Callback;
  train::Phase phase() const override { return train::Observer::phase(); }
  absl::Status OnRollback(const train::Rollback& rollback) override {
    return Tell(*owner, function, Tensors::kStay, rollback);
  }
};

template <typename Kind>
void Add(LuaTrainer& self, LuaFunction f) {
  self.trainer->AddObserver(std::make_shared<Kind>(&self, std::move(f)));
}

void OnStep(LuaTrainer& self, int64_t every, LuaFunction f) {
  if (every < 1) throw UsageError(absl::StrCat("on_step: every must be at least 1, got ", every));
  self.trainer->AddObserver(std::make_shared<OnStepCallback>(&self, std::move(f), every));
}

const std::vector<FunctionRow> kMethods = {
    {"Trainer:on_step", "every, f", "Calls f(record) after every so many updates; 'stop', reason ends the training.",
     Typed<&OnStep>},
    {"Trainer:on_epoch", "f", "Calls f(record) at each epoch's end; 'stop', reason ends the training.",
     Typed<&Add<OnEpochCallback>>},
    {"Trainer:before_update", "f",
     "Calls f(record) when the gradients of an update are there; 'skip' leaves the update out, 'again' takes loss and "
     "gradients once more, of weights that f has changed.",
     Typed<&Add<BeforeUpdateCallback>>},
    {"Trainer:on_warning", "f", "Calls f({message=, step=, value=, limit=}) when a guard warns: \"Gnn name: ...\".",
     Typed<&Add<OnWarningCallback>>},
    {"Trainer:on_rollback", "f",
     "Calls f({step=, from_step=, lr_factor=, extra=}) when a diverged training went back to a checkpoint.",
     Typed<&Add<OnRollbackCallback>>},
};

}  // namespace

void RegisterCallbacks(lua_State* L) { RegisterRows(L, "train", kMethods); }

}  // namespace lanthorn::lua
