// Batches made by a Lua function: data.custom.
#include <cmath>

#include "bindings/lua/function.h"
#include "bindings/lua/ref.h"
#include "bindings/lua/running.h"
#include "bindings/ops/function_call.h"
#include "bindings/tensor/tensor.h"
#include "bindings/train/data.h"

namespace lanthorn::lua {
namespace {

class LuaBatches final : public data::Batches {
 public:
  LuaBatches(Ref get, int64_t count, int64_t rows, int64_t targets)
      : get_(std::move(get)), count_(count), rows_(rows), targets_(targets) {}
  int64_t count() const override { return count_; }
  int64_t rows() const override { return rows_; }
  int64_t targets() const override { return targets_; }
  void SetEpoch(int64_t epoch) override { epoch_ = epoch; }

  // Throws StatusError: the trainer has no place for a Status here, and whoever called it from Lua takes both alike.
  data::Batch Get(int64_t index) const override {
    lua_State* L = RunningState();
    const int top = lua_gettop(L);
    luaL_checkstack(L, 8, "data.custom");
    get_.Push(L);
    lua_pushnumber(L, static_cast<double>(index));
    lua_pushnumber(L, static_cast<double>(epoch_ + 1));
    Check(CallLua(L, 2, 3));
    data::Batch batch{Take(L, top + 1, "x"), Take(L, top + 2, "y"), TakeDomain(L, top + 3)};
    lua_settop(L, top);
    if (batch.x.dim() == 0 || batch.y.dim() == 0 || batch.x.size(0) != batch.y.size(0)) {
      Check(DataError("data.custom: get(" + std::to_string(index) +
                      ") must return x and y of the same number of rows, got " + Shape(batch.x) + " and " +
                      Shape(batch.y)));
    }
    return batch;
  }

 private:
  static at::Tensor Take(lua_State* L, int index, const char* name) {
    if (TensorBox* box = ToTensorBox(L, index); box != nullptr && box->tensor.defined()) return box->tensor;
    throw StatusError(DataError(std::string("data.custom: get must return two tensors, x and y; ") + name + " is " +
                                Describe(L, index)));
  }
  static int64_t TakeDomain(lua_State* L, int index) {
    if (lua_isnil(L, index)) return 0;
    const double domain = lua_tonumber(L, index);
    if (domain >= 1 && domain == std::floor(domain)) return static_cast<int64_t>(domain) - 1;
    throw StatusError(DataError("data.custom: get's third value, the domain, must be a whole number from 1; it is " +
                                Describe(L, index)));
  }
  static std::string Shape(const at::Tensor& tensor) {
    std::string text = "{";
    for (const int64_t size : tensor.sizes()) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
    return text + "}";
  }

  Ref get_;
  int64_t count_, rows_, targets_, epoch_ = 0;
};

constexpr char kSignature[] = "from_function(int count, int rows, int targets)";

int FromFunction(lua_State* L) {
  static const NamedSignature signature = ParseSignature(kSignature);
  luaL_checktype(L, 1, LUA_TFUNCTION);
  const std::vector<c10::IValue> a = ReadCall(L, 2, signature, "data.");
  const int64_t count = a[0].toInt(), rows = a[1].toInt(), targets = a[2].toInt();
  if (count < 1 || rows < 1 || targets < 1) {
    Check(ConfigError("data.custom: count, rows and targets must be at least 1, got " + std::to_string(count) + ", " +
                      std::to_string(rows) + " and " + std::to_string(targets)));
  }
  lua_settop(L, 1);
  PushObject<data::Batches>(L, std::make_shared<LuaBatches>(Ref(L), count, rows, targets));
  return 1;
}

const std::vector<FunctionRow> kRows = {{"from_function", "(function get, int count, int rows, int targets) -> Batches",
                                         "Batches by a Lua function of index (from 0) and epoch (from 1) to x, y and, "
                                         "with several texts, the domain (from 1); data.custom calls this.",
                                         &Thunk<&FromFunction>}};

}  // namespace

void RegisterLuaBatches(lua_State* L) { RegisterRows(L, "data", kRows); }

}  // namespace lanthorn::lua
