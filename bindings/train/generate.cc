// train.generate: text from a model, native or written in Lua.
#include "engine/train/eval/generate.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>

#include <chrono>

#include "bindings/data/data.h"
#include "bindings/lua/json.h"
#include "bindings/lua/typed.h"
#include "bindings/nn/module.h"
#include "bindings/tensor/tensor.h"
#include "bindings/train/trainer.h"
#include "engine/train/eval/eval_scope.h"

namespace lanthorn::lua {
namespace {

// The model at a place of the stack, called through Lua, so that Lua forwards work too.
train::LanguageModel ModelAt(lua_State* L, int model_index) {
  const auto module = ToObject<nn::Module>(L, model_index);
  const auto forward = [L, model_index, module](const at::Tensor& ids, nn::State* state) -> absl::StatusOr<at::Tensor> {
    const c10::Device device = module->Parameters().empty() ? ids.device() : module->Parameters()[0].tensor.device();
    const int top = lua_gettop(L);
    ScopeGuard scope(L);
    lua_pushvalue(L, model_index);
    PushTensor(L, ids.to(device));
    if (state->empty()) {
      lua_pushnil(L);
    } else {
      PushState(L, *state);
    }
    const absl::Status status = CallLua(L, 2, 2);
    at::Tensor logits;
    if (status.ok()) {
      if (TensorBox* box = ToTensorBox(L, top + 1)) logits = box->tensor;
      *state = lua_isnil(L, top + 2) ? nn::State() : ReadState(L, top + 2);
    }
    scope.End(0);
    lua_settop(L, top);
    if (!status.ok()) return status;
    if (!logits.defined() || logits.dim() != 3)
      return Error(ExitCode::kScript, "train.generate: the model must return logits (B, T, V)");
    return logits;
  };
  return {forward, module->MaxLength(), module->Decodes()};
}

// The tokenizer of data.text or data.domains.
struct Texts {
  std::shared_ptr<data::Text> text;
  std::shared_ptr<data::Domains> domains;

  const data::Tokenizer& tokenizer() const { return domains != nullptr ? *domains->tokenizer : *text->tokenizer; }
};

struct DrawOptions {
  int64_t seed = 0;
  train::SampleOptions sample;
};
template <typename Visit>
void Fields(Visit&& visit, DrawOptions& options) {
  visit({"length", "tokens to draw", 0}, options.sample.length);
  visit({"temperature", "0 takes the most likely token", 0}, options.sample.temperature);
  visit({"top_k", "only the k most likely; 0: all", 0}, options.sample.top_k);
  visit({"top_p", "only the most likely that together reach this share"}, options.sample.top_p);
  visit({"seed", "of the draws of the first text; the next has the next"}, options.seed);
  visit({"most", "tokens of prompt and text together at most; 0: any number", 0}, options.sample.most);
  visit({"cache", "false: all before is read anew at each token, in place of what attention keeps of it"},
        options.sample.cache);
}

struct OneTextOptions {
  std::string prompt;
  DrawOptions draw;
};
template <typename Visit>
void Fields(Visit&& visit, OneTextOptions& options) {
  visit({"prompt", "the text that is gone on with"}, options.prompt);
  Fields(visit, options.draw);
}

struct TextsOptions {
  std::vector<std::string> prompts;
  int64_t n = 1;
  DrawOptions draw;
};
template <typename Visit>
void Fields(Visit&& visit, TextsOptions& options) {
  visit({"prompts", "the texts that are gone on with"}, options.prompts);
  visit({"n", "texts drawn for each", 1}, options.n);
  Fields(visit, options.draw);
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

// Texts drawn after each prompt, n for the first, then n for the second and so on.
std::vector<at::Tensor> Draw(lua_State* L, nn::Module& model, const Texts& text,
                             const std::vector<std::string>& prompts, int64_t n, const DrawOptions& options) {
  train::SampleOptions sample = options.sample;
  sample.stop = text.tokenizer().end();
  std::vector<at::Tensor> ids;
  std::vector<at::Generator> generators;
  for (const std::string& prompt : prompts) {
    const at::Tensor encoded = Value(text.tokenizer().Encode(prompt));
    for (int64_t i = 0; i < n; ++i) {
      ids.push_back(encoded);
      generators.push_back(at::detail::createCPUGenerator(static_cast<uint64_t>(options.seed) + generators.size()));
    }
  }
  const train::EvalScope eval(model);
  return Value(train::Generate(ModelAt(L, /*model_index=*/1), ids, generators, sample));
}

std::string Generate(lua_State* L, nn::Module& model, const Texts& text, const OneTextOptions& given) {
  return text.tokenizer().Decode(Draw(L, model, text, {given.prompt}, 1, given.draw)[0]);
}

nlohmann::json GenerateTexts(lua_State* L, nn::Module& model, const Texts& text, const TextsOptions& given) {
  const auto start = std::chrono::steady_clock::now();
  const std::vector<at::Tensor> drawn = Draw(L, model, text, given.prompts, given.n, given.draw);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  nlohmann::json texts = nlohmann::json::array();
  int64_t tokens = 0;
  for (const at::Tensor& ids : drawn) {
    texts.push_back(text.tokenizer().Decode(ids));
    tokens += ids.numel();
  }
  return {{"texts", texts}, {"tokens", tokens}, {"seconds", seconds.count()}};
}

const std::vector<FunctionRow> kRows = {
    {"generate", "model, text",
     "Text drawn from the model after the prompt (not included), one token (a character, or a word of data.domains "
     "with words) at a time. A recurrent model carries its state, attention keeps what it needs of the positions "
     "before; a model written in Lua reads all before each time. Where the model takes max_len positions it reads the "
     "last of them. temperature=0 takes the most likely token; top_k and top_p (Holtzman et al. 2020) restrict the "
     "choice. Draws from a stream of its own.",
     Typed<&Generate>},
    {"generate_texts", "model, text",
     "The same for several prompts at once, n texts for each: {texts=, tokens=, seconds=}, the tokens that were drawn. "
     "A text is the same beside others as by itself.",
     Typed<&GenerateTexts>}};

}  // namespace

void RegisterGenerate(lua_State* L) { RegisterRows(L, "train", kRows); }

}  // namespace lanthorn::lua
