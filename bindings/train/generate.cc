// train.generate: text from a model, native or written in Lua.
#include "engine/train/eval/generate.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>

#include "bindings/data/data.h"
#include "bindings/lua/typed.h"
#include "bindings/nn/module.h"
#include "bindings/tensor/tensor.h"
#include "bindings/train/trainer.h"
#include "engine/train/eval/eval_scope.h"

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

// The tokenizer of data.text or data.domains.
struct Texts {
  std::shared_ptr<data::Text> text;
  std::shared_ptr<data::Domains> domains;

  const data::Tokenizer& tokenizer() const { return domains != nullptr ? *domains->tokenizer : text->tokenizer; }
};

struct GenerateOptions {
  std::string prompt;
  int64_t seed = 0;
  train::SampleOptions sample;
};
template <typename Visit>
void Fields(Visit&& visit, GenerateOptions& options) {
  visit({"prompt", "the text that is gone on with"}, options.prompt);
  visit({"length", "tokens to draw", 0}, options.sample.length);
  visit({"temperature", "0 takes the most likely token", 0}, options.sample.temperature);
  visit({"top_k", "only the k most likely; 0: all", 0}, options.sample.top_k);
  visit({"top_p", "only the most likely that together reach this share"}, options.sample.top_p);
  visit({"seed", "of the draws"}, options.seed);
}

}  // namespace

template <>
struct ValueOf<Texts> {
  static std::string Type() { return "Text|Domains"; }
  static std::string Expected() { return "the data of data.text or data.domains"; }
  static bool Read(lua_State* L, int index, Texts* texts) {
    *texts = {ToObject<data::Text>(L, index), ToObject<data::Domains>(L, index)};
    return texts->text != nullptr || texts->domains != nullptr;
  }
};

namespace {

std::string Generate(lua_State* L, nn::Module& model, const Texts& text, const GenerateOptions& given) {
  train::SampleOptions options = given.sample;
  options.generator = at::detail::createCPUGenerator(static_cast<uint64_t>(given.seed));
  const train::EvalScope eval(model);
  const data::Tokenizer& tokenizer = text.tokenizer();
  return tokenizer.Decode(
      Value(train::Generate(StepOf(L, /*model_index=*/1), Value(tokenizer.Encode(given.prompt)), options)));
}

const std::vector<FunctionRow> kRows = {
    {"generate", "model, text",
     "Text drawn from the model after the prompt (not included), one token (a character, or a word of data.domains "
     "with words) at a time with the state carried. A model without a state sees all before, or of that the last steps "
     "that it takes (max_len). temperature=0 takes the most likely one; top_k and top_p (Holtzman et al. 2020) "
     "restrict the choice. Draws from a stream of its own.",
     Typed<&Generate>}};

}  // namespace

void RegisterGenerate(lua_State* L) { RegisterRows(L, "train", kRows); }

}  // namespace lanthorn::lua
