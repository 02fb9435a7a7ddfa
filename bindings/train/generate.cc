// train.generate: text from a model, native or written in Lua.
#include "engine/train/generate.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>

#include "bindings/lua/function.h"
#include "bindings/nn/module.h"
#include "bindings/ops/function_call.h"
#include "bindings/tensor/tensor.h"
#include "bindings/train/data.h"
#include "bindings/train/trainer.h"
#include "engine/train/eval_scope.h"

namespace lanthorn::lua {
namespace {

// Calls the model through Lua, so that Lua forwards work too. A model without state sees the whole context each time,
// or as much of its end as the model takes.
train::StepFn StepOf(lua_State* L, int model_index) {
  auto context = std::make_shared<at::Tensor>();
  auto stateless = std::make_shared<bool>(false);
  return [L, model_index, context, stateless](const at::Tensor& ids, nn::State* state) -> absl::StatusOr<at::Tensor> {
    const auto module = ToObject<nn::Module>(L, model_index);
    const c10::Device device = module->Parameters().empty() ? ids.device() : module->Parameters()[0].tensor.device();
    const bool first = !context->defined();
    *context = first ? ids : at::cat({*context, ids}, 1);
    const int64_t most = module->MaxLength();
    if (most > 0 && context->size(1) > most) *context = context->narrow(1, context->size(1) - most, most);
    const int top = lua_gettop(L);
    ScopeGuard scope(L);
    lua_pushvalue(L, model_index);
    PushTensor(L, (*stateless || first ? *context : ids).to(device));
    if (state->empty()) {
      lua_pushnil(L);
    } else {
      PushState(L, *state);
    }
    const absl::Status status = CallLua(L, 2, 2);
    at::Tensor logits;
    if (status.ok()) {
      if (TensorBox* box = ToTensorBox(L, top + 1)) logits = box->tensor;
      *stateless = lua_isnil(L, top + 2);
      if (!*stateless) *state = ReadState(L, top + 2);
    }
    scope.End(0);
    lua_settop(L, top);
    if (!status.ok()) return status;
    if (!logits.defined() || logits.dim() != 3)
      return Error(ExitCode::kScript, "train.generate: the model must return logits (B, T, V)");
    return logits;
  };
}

// The tokenizer of data.text or data.domains, which the value on the stack keeps. [-0, +0, e]
const data::Tokenizer& CheckTokenizer(lua_State* L, int index) {
  if (const auto domains = ToObject<data::Domains>(L, index)) return *domains->tokenizer;
  const auto text = ToObject<data::Text>(L, index);
  if (text == nullptr) {
    throw UsageError("train.generate: expected the data of data.text or data.domains, got " + Describe(L, index));
  }
  return text->tokenizer;
}

int Generate(lua_State* L) {
  static const NamedSignature signature = ParseSignature(
      "generate(str prompt, int length=200, float temperature=1., int top_k=0, float top_p=1., int seed=0)");
  const auto module = CheckObject<nn::Module>(L, 1, "train.generate: model");
  const data::Tokenizer& tokenizer = CheckTokenizer(L, 2);
  const std::vector<c10::IValue> a = ReadCall(L, 3, signature, "train.");
  train::SampleOptions options;
  options.length = a[1].toInt();
  options.temperature = a[2].toDouble();
  options.top_k = a[3].toInt();
  options.top_p = a[4].toDouble();
  options.generator = at::detail::createCPUGenerator(static_cast<uint64_t>(a[5].toInt()));
  const train::EvalScope eval(*module);
  const at::Tensor drawn = Value(train::Generate(StepOf(L, 1), Value(tokenizer.Encode(a[0].toStringRef())), options));
  const std::string decoded = tokenizer.Decode(drawn);
  lua_pushlstring(L, decoded.data(), decoded.size());
  return 1;
}

const std::vector<FunctionRow> kRows = {
    {"generate",
     "(Module model, Text|Domains text, *, str prompt, int length=200, float temperature=1., int top_k=0, float "
     "top_p=1., int "
     "seed=0) -> str",
     "Text drawn from the model after the prompt (not included), one token (a character, or a word of data.domains "
     "with words) at a time with the state carried. "
     "A model without a state sees all "
     "before, or of that the last steps that it takes (max_len). temperature=0 takes the most likely one; top_k and "
     "top_p (Holtzman et al. 2020) restrict the choice. Draws from a stream of its own.",
     &Thunk<&Generate>}};

}  // namespace

void OpenGenerate(lua_State* L) { RegisterRows(L, "train", kRows); }

}  // namespace lanthorn::lua
