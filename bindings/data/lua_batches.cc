// Batches made by a Lua function: data.custom.
#include <cmath>

#include "bindings/data/data.h"
#include "bindings/lua/ref.h"
#include "bindings/lua/running.h"
#include "bindings/lua/typed.h"
#include "bindings/tensor/tensor.h"

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

struct BatchCounts {
  int64_t count = 0, rows = 0, targets = 0;
};
template <typename Visit>
void Fields(Visit&& visit, BatchCounts& counts) {
  visit({"count", "batches of an epoch", 1}, counts.count);
  visit({"rows", "samples of a batch", 1}, counts.rows);
  visit({"targets", "targets of a batch", 1}, counts.targets);
}

std::shared_ptr<data::Batches> FromFunction(LuaFunction get, const BatchCounts& counts) {
  return std::make_shared<LuaBatches>(std::move(get.ref), counts.count, counts.rows, counts.targets);
}

const std::vector<FunctionRow> kRows = {{"from_function", "get",
                                         "Batches by a Lua function of index (from 0) and epoch (from 1) to x, y and, "
                                         "with several texts, the domain (from 1); data.custom calls this.",
                                         Typed<&FromFunction>}};

}  // namespace

void RegisterLuaBatches(lua_State* L) { RegisterRows(L, "data", kRows); }

}  // namespace lanthorn::lua
