#include "bindings/ops/operators.h"

#include <c10/util/Exception.h>

#include <unordered_map>

#include "bindings/lua/userdata.h"
#include "bindings/tensor/tensor.h"
#include "engine/base/memory/memory.h"
#include "engine/base/status.h"
#include "engine/tscore/operator_uses.h"

namespace lanthorn::lua {
namespace {

// name -> overload names with their library; filled once from the dispatcher.
struct Index {
  std::unordered_map<std::string, std::vector<c10::OperatorName>> by_name;
  std::vector<std::string> names;
};

const Index& TheIndex() {
  static const Index index = [] {
    Index built;
    for (const c10::OperatorName& full : c10::Dispatcher::singleton().getAllOpNames()) {
      const bool ours = full.name.rfind("lanthorn::", 0) == 0;
      if (!ours && full.name.rfind("aten::", 0) != 0) continue;
      auto& overloads = built.by_name[full.name.substr(ours ? 10 : 6)];
      if (ours && !overloads.empty() && overloads[0].name != full.name) overloads.clear();  // ours hides aten's
      if (!ours && !overloads.empty() && overloads[0].name != full.name) continue;
      overloads.push_back(full);
    }
    for (const auto& [name, overloads] : built.by_name) built.names.push_back(name);
    std::sort(built.names.begin(), built.names.end());
    return built;
  }();
  return index;
}

// Overloads of named tensors, which Lua does not have: sum.dim_DimnameList, zeros.names, max.names_dim.
bool TakesDimensionNames(const std::string& overload) {
  return overload.find("Dimname") != std::string::npos || overload.rfind("names", 0) == 0;
}

bool GivesOut(const Call& call) {
  if (call.keywords == 0) return false;
  lua_getfield(call.L, call.keywords, "out");
  const bool given = !lua_isnil(call.L, -1);
  lua_pop(call.L, 1);
  return given;
}

// What was wrong comes first, the schema that says so behind it.
std::string Explain(const OperatorSet& set, const Call& call) {
  std::vector<std::pair<std::string, std::string>> reasons;  // with the schema of each
  for (const Overload& overload : set.overloads) {
    std::string why;
    MatchCost(call, overload.signature, &why);
    const auto& parameters = overload.signature.parameters;
    const bool writes_out = std::any_of(parameters.begin(), parameters.end(), [](const Parameter& p) { return p.out; });
    if (writes_out && set.overloads.size() > 1 && !GivesOut(call)) continue;
    reasons.emplace_back(why, c10::toString(overload.handle.schema()));
  }
  const std::string name = "torch." + set.name;
  if (reasons.size() == 1) {
    return name + ": " + reasons[0].first + "\n  called as " + set.name + DescribeCall(call) + "\n  " +
           reasons[0].second;
  }
  constexpr size_t kShown = 6;
  std::string text = name + ": no overload takes " + DescribeCall(call);
  for (size_t i = 0; i < std::min(kShown, reasons.size()); ++i)
    text += "\n  " + reasons[i].first + "\n    " + reasons[i].second;
  return reasons.size() > kShown ? text + "\n  ..." : text;
}

std::string FirstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

// LibTorch's "index out of range in self" and its kin with the index and the size that it does not fit; other messages
// as they are.
std::string WithIndex(const std::string& message, const Overload& overload, const Call& call) {
  if (message != "index out of range in self" && message.find("out of DATA bounds") == std::string::npos)
    return message;
  std::vector<c10::IValue> arguments;
  ReadArguments(call, overload.signature, &arguments);
  at::Tensor values, ids;
  int64_t dim = 0;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& name = overload.signature.parameters[i].name;
    if (arguments[i].isTensor() && (name == "indices" || name == "index")) ids = arguments[i].toTensor();
    if (arguments[i].isTensor() && (name == "weight" || name == "self")) values = arguments[i].toTensor();
    if (arguments[i].isInt() && name == "dim") dim = arguments[i].toInt();
  }
  if (!values.defined() || !ids.defined() || ids.numel() == 0 || values.dim() == 0) return message;
  const int64_t size = values.size(dim), low = ids.min().item<int64_t>(), high = ids.max().item<int64_t>();
  return "index " + std::to_string(low < 0 ? low : high) + " is outside of the " + std::to_string(size) +
         " entries; indices go from 0 to " + std::to_string(size - 1);
}

// Runs the operator on its arguments; LibTorch's message gets the call's shapes and the schema beside it.
void Run(const Overload& overload, const OperatorSet& set, const Call& call, std::vector<c10::IValue>* stack) {
  try {
    overload.handle.callBoxed(stack);
  } catch (const memory::OutOfMemory&) {
    throw;
  } catch (const c10::Error& error) {
    if (WantsFullErrors()) throw;
    const std::string message = WithIndex(FirstLine(error.what_without_backtrace()), overload, call);
    throw UsageError("torch." + set.name + ": " + message + "\n  called as " + set.name + DescribeCall(call) + "\n  " +
                     c10::toString(overload.handle.schema()));
  }
}

const Overload* Cheapest(const OperatorSet& set, const Call& call) {
  const Overload* best = nullptr;
  int lowest = 0;
  for (const Overload& overload : set.overloads) {
    const int cost = MatchCost(call, overload.signature, nullptr);
    if (cost < 0 || (best != nullptr && cost >= lowest)) continue;
    best = &overload;
    lowest = cost;
    if (cost == 0) break;
  }
  return best;
}

const Overload* Choose(const OperatorSet& set, const Call& call) {
  constexpr size_t kRemembered = 16;
  const CallKey key(call);
  if (key.empty()) return Cheapest(set, call);
  for (const auto& [known, overload] : set.chosen) {
    if (key == known) return overload;
  }
  const Overload* overload = Cheapest(set, call);
  if (overload != nullptr && set.chosen.size() < kRemembered) set.chosen.emplace_back(key.text(), overload);
  return overload;
}

// The stack of a boxed call. Its memory is kept for the next one; a call made within a call (by a hook) takes its own.
class Stack {
 public:
  Stack() { std::swap(values_, Spare()); }
  ~Stack() {
    values_.clear();
    std::swap(values_, Spare());
  }
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;
  std::vector<c10::IValue>* operator->() { return &values_; }
  std::vector<c10::IValue>& operator*() { return values_; }

 private:
  static std::vector<c10::IValue>& Spare() {
    static std::vector<c10::IValue> spare;
    return spare;
  }
  std::vector<c10::IValue> values_;
};

// Lua numbers carry no integer type: torch.full and torch.scalar_tensor make float32 unless told otherwise.
void ApplyDefaultDtype(const OperatorSet& set, const Overload& overload, const Call& call,
                       std::vector<c10::IValue>* stack) {
  if (!set.default_dtype) return;
  for (size_t i = 0; i < stack->size(); ++i) {
    const std::string& name = overload.signature.parameters[i].name;
    if (name == "fill_value" && (*stack)[i].isBool()) return;
    if (name == "dtype" && (*stack)[i].isNone()) (*stack)[i] = c10::kFloat;
  }
}

// What T-Score wants to know of a call; operators of our own report by themselves.
std::optional<tscore::OperatorUse> Watch(const OperatorSet& set, const Overload& overload,
                                         std::vector<c10::IValue>* stack) {
  if (!tscore::Recorder::IsOpen() || overload.handle.operator_name().name.rfind("aten::", 0) != 0) return std::nullopt;
  return tscore::OperatorUse::Begin(set.name, overload.handle, stack);
}

int PushResults(lua_State* L, const Call& call, const Overload& overload, std::vector<c10::IValue>& results) {
  int pushed = 0;
  for (c10::IValue& result : results) {
    // x:add_(y) gives back x itself, not a second userdata for the same tensor.
    TensorBox* self = overload.signature.mutates && result.isTensor() ? ToTensorBox(L, call.first) : nullptr;
    if (self != nullptr && self->tensor.is_same(result.toTensor())) {
      lua_pushvalue(L, call.first);
      ++pushed;
      continue;
    }
    if (result.isTensor()) {
      PushTensor(L, std::move(result).toTensor());
      ++pushed;
      continue;
    }
    pushed += PushValue(L, result);
  }
  return pushed;
}

int OperatorFunction(lua_State* L) {
  return CallOperator(L, *static_cast<const OperatorSet*>(lua_touserdata(L, lua_upvalueindex(1))), 1);
}

}  // namespace

const std::vector<std::string>& OperatorNames() { return TheIndex().names; }

const OperatorSet* FindOperator(const std::string& name) {
  static std::unordered_map<std::string, std::unique_ptr<OperatorSet>> resolved;
  if (auto found = resolved.find(name); found != resolved.end()) return found->second.get();
  auto known = TheIndex().by_name.find(name);
  if (known == TheIndex().by_name.end()) return nullptr;
  auto set = std::make_unique<OperatorSet>();
  set->name = name;
  set->default_dtype = name == "full";
  for (const c10::OperatorName& full : known->second) {
    auto handle = c10::Dispatcher::singleton().findSchema(full);
    if (!handle || TakesDimensionNames(full.overload_name)) continue;
    set->overloads.push_back({*handle, ReadSignature(handle->schema())});
  }
  // The dispatcher lists overloads in hash order; fewer arguments first makes ties and messages stable.
  std::sort(set->overloads.begin(), set->overloads.end(), [](const Overload& a, const Overload& b) {
    if (a.signature.mutates != b.signature.mutates) return !a.signature.mutates;
    if (a.signature.parameters.size() != b.signature.parameters.size()) {
      return a.signature.parameters.size() < b.signature.parameters.size();
    }
    return a.handle.operator_name().overload_name < b.handle.operator_name().overload_name;
  });
  return resolved.emplace(name, std::move(set)).first->second.get();
}

const std::vector<std::string>& MethodNames() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> found;
    for (const std::string& name : OperatorNames()) {
      for (const c10::OperatorName& full : TheIndex().by_name.at(name)) {
        const auto handle = c10::Dispatcher::singleton().findSchema(full);
        if (!handle || TakesDimensionNames(full.overload_name)) continue;
        const auto& arguments = handle->schema().arguments();
        if (arguments.empty() || arguments[0].type()->kind() != c10::TypeKind::TensorType) continue;
        found.push_back(name);
        break;
      }
    }
    return found;
  }();
  return names;
}

int CallOperator(lua_State* L, const OperatorSet& set, int first) {
  const Call call = SplitArguments(L, first);
  const Overload* overload = Choose(set, call);
  if (overload == nullptr) throw UsageError(Explain(set, call));
  Stack stack;
  ReadArguments(call, overload->signature, &*stack);
  ApplyDefaultDtype(set, *overload, call, &*stack);
  std::optional<tscore::OperatorUse> use = Watch(set, *overload, &*stack);
  try {
    Run(*overload, set, call, &*stack);
  } catch (const memory::OutOfMemory&) {
    if (overload->signature.mutates) throw;
    stack->clear();
    lua_gc(L, LUA_GCCOLLECT, 0);  // userdata that nobody reaches may hold what is needed
    ReadArguments(call, overload->signature, &*stack);
    ApplyDefaultDtype(set, *overload, call, &*stack);
    use = Watch(set, *overload, &*stack);
    Run(*overload, set, call, &*stack);
  }
  if (use) use->End(*stack);
  if (call.keywords != 0 && stack->size() == 1 && stack->front().isTensor()) {
    lua_getfield(L, call.keywords, "requires_grad");
    if (lua_toboolean(L, -1)) stack->front().toTensor().set_requires_grad(true);
    lua_pop(L, 1);
  }
  return PushResults(L, call, *overload, *stack);
}

void PushOperator(lua_State* L, const OperatorSet* set) {
  lua_pushlightuserdata(L, const_cast<OperatorSet*>(set));
  lua_pushcclosure(L, &Thunk<&OperatorFunction>, 1);
}

}  // namespace lanthorn::lua
