// Rows of tokens some of which are masked, and the byte-pair encoding that they are of, in Lua.
#include "engine/data/masked_rows.h"

#include "bindings/data/data.h"
#include "bindings/lua/typed.h"
#include "bindings/tensor/tensor.h"
#include "engine/data/text/bpe.h"

namespace lanthorn::lua {
namespace {

using data::Batches, data::BpeTokenizer;

std::shared_ptr<Batches> FromMasked(const at::Tensor& ids, const at::Tensor& relations, const at::Tensor& offsets,
                                    const data::MaskedOptions& options) {
  return Value(data::MaskedRows::Make(ids, relations, offsets, options));
}

std::shared_ptr<BpeTokenizer> OpenBpe(const std::string& folder) {
  return std::make_shared<BpeTokenizer>(Value(BpeTokenizer::Open(folder)));
}
std::vector<int64_t> Encode(const BpeTokenizer& self, const std::string& text) { return Value(self.Ids(text)); }
std::string Decode(const BpeTokenizer& self, const at::Tensor& ids) { return self.Decode(ids); }
int64_t VocabSize(const BpeTokenizer& self) { return self.vocab_size(); }
std::optional<int64_t> Id(const BpeTokenizer& self, const std::string& token) {
  const int64_t id = self.IdOfToken(token);
  return id < 0 ? std::nullopt : std::optional<int64_t>(id);
}

const std::vector<FunctionRow> kFunctions = {
    {"from_masked", "ids, relations, offsets",
     "Batches of rows of different lengths with masked tokens: x (B, 2, T) the ids and the relations, y (B, T) what was "
     "masked, -100 elsewhere. offsets: where each row begins, and the end.",
     Typed<&FromMasked>},
    {"open_bpe", "folder", "A byte-pair encoding from its vocab.json and merges.txt.", Typed<&OpenBpe>},
};
const std::vector<FunctionRow> kBpeMethods = {
    {"Bpe:encode", "text", "A list of ids.", Typed<&Encode>},
    {"Bpe:decode", "ids", "Text of ids.", Typed<&Decode>},
    {"Bpe:id", "token", "The id of a token as vocab.json writes it, such as [MASK]; nil when there is none.",
     Typed<&Id>},
    {"Bpe:vocab_size", "", "How many tokens there are.", Typed<&VocabSize>},
};

}  // namespace

void RegisterMasked(lua_State* L) {
  RegisterRows(L, "data", kFunctions);
  DefineType<BpeTokenizer>(L);
  RegisterRows(L, "data", kBpeMethods);
  lua_pop(L, 1);
}

}  // namespace lanthorn::lua
