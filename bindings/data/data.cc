#include "bindings/data/data.h"

#include "absl/strings/str_cat.h"
#include "bindings/lua/json.h"
#include "bindings/lua/typed.h"
#include "bindings/tensor/tensor.h"
#include "bindings/train/trainer.h"
#include "engine/base/files/files.h"
#include "engine/data/batch_shape.h"
#include "engine/data/text/bpe.h"

namespace lanthorn::lua {
namespace {

using data::Batches, data::Text;

struct OpenTextOptions {
  std::string name, path, sha256;
  ReadingOptions reading;
  data::TextOptions text;
};
template <typename Visit>
void Fields(Visit&& visit, OpenTextOptions& options) {
  visit({"name", "of the text in reports"}, options.name);
  visit({"path", "of its file"}, options.path);
  visit({"sha256", "the checksum that it must have; empty: any"}, options.sha256);
  Fields(visit, options.reading);
  Fields(visit, options.text);
  visit({"seed", "of the order"}, options.text.seed);
  visit({"val_required", "an empty val split is an error"}, options.text.val_required);
}

std::shared_ptr<Text> OpenText(const OpenTextOptions& given) {
  data::TextOptions options = given.text;
  options.tokens = given.reading.ForTokens("data");
  options.tokens.expected_sha256 = given.sha256;
  const train::Progress progress({.quiet = given.reading.quiet, .write = &WriteError});
  return Value(Text::Open(given.name, given.path, options));
}

at::Tensor Encode(const Text& self, const std::string& text) { return Value(self.tokenizer->Encode(text)); }
std::string Decode(const Text& self, const at::Tensor& ids) { return self.tokenizer->Decode(ids); }

data::Leak LeakOf(const Text& self) {
  const int64_t train = self.train->length();
  const data::Leak leak = data::SharedBlocks(self.ids.Slice(0, train), self.ids.Slice(train, self.ids.size() - train));
  if (self.tokens != nullptr) self.tokens->Forget();
  return leak;
}

// What a text has as fields.
void PushFields(lua_State* L, const Text& text) {
  NewTable(L)
      .Set("vocab_size", text.tokenizer->vocab_size())
      .Set("length", text.ids.size())
      .Set("name", text.name)
      .Set("path", text.path)
      .Set("sha256", text.sha256)
      .Set("bytes", text.bytes)
      .Set("data_bytes", text.ids.bytes())
      .SetIf(text.characters > 0, "characters", text.characters)
      .SetIf(text.characters > 0, "val_characters", text.val_characters)
      .Set("kept_in", text.tokens != nullptr ? text.tokens->kept_in() : "")
      .Set("note", text.tokens != nullptr ? text.tokens->note() : "")
      .Set("text_note", text.tokens != nullptr ? text.tokens->text_note() : "")
      .Set("train", std::shared_ptr<Batches>(text.train))
      .Set("val", std::shared_ptr<Batches>(text.val));
}

// upvalue 1: the methods.
int IndexText(lua_State* L) {
  const auto text = CheckObject<Text>(L, 1, "data.Text");
  const std::string name = luaL_checkstring(L, 2);
  if (name == "ids") {  // a tensor of its own each time
    Push(L, text->ids.ToTensor());
    return 1;
  }
  PushFields(L, *text);
  lua_pushvalue(L, 2);
  lua_rawget(L, -2);
  if (!lua_isnil(L, -1)) return 1;
  lua_pushvalue(L, 2);
  lua_rawget(L, lua_upvalueindex(1));
  return 1;
}

std::tuple<at::Tensor, at::Tensor, int64_t> Get(Batches& self, int64_t index, std::optional<int64_t> epoch) {
  if (index < 0 || index >= self.count()) {
    throw UsageError(
        absl::StrCat("Batches:get: batch ", index, " does not exist; there are ", self.count(), ", from 0"));
  }
  if (epoch) {
    if (*epoch < 1) throw UsageError(absl::StrCat("Batches:get: epochs count from 1, got ", *epoch));
    self.SetEpoch(*epoch - 1);
  }
  const data::Batch batch = self.Get(index);
  return {batch.x, batch.y, batch.domain + 1};
}

std::string Hash(const Batches& self, int64_t index) { return data::HashBatch(self.Get(index)); }

nlohmann::json Inspect(const Batches& self) {
  const data::Batch batch = self.Get(0);
  const data::BatchShape shape = data::ShapeOf(batch, self.rows());
  Check(data::CheckBatchShape(shape));
  return {{"items", shape.items},
          {"longest", shape.longest},
          {"width", shape.width},
          {"targets", shape.targets},
          {"masked", shape.masked},
          {"padding", shape.padding},
          {"sha256", data::HashBatch(batch)}};
}

std::shared_ptr<Batches> FromTensors(const at::Tensor& x, const at::Tensor& y, const data::TensorOptions& options) {
  return Value(data::TensorBatches::Make(x, y, options));
}

absl::Status CountPieces(const std::string& text, const std::string& tsv) { return data::WritePieceCounts(text, tsv); }
absl::Status WriteBpe(const std::string& pieces, const std::string& folder, const std::vector<std::string>& specials) {
  return data::WriteBpeFiles(pieces, folder, specials);
}

std::string Sha256OfText(const std::string& text) { return Sha256Hex(text); }

const std::vector<FunctionRow> kFunctions = {
    {"open_text", "",
     "A character text split into batches; data.text finds the corpus and calls this. Says every 30 s that it goes on. "
     "keep: tokens of a long text stay in a file beside it, or in other_folder where that cannot be written. "
     "drop_last: rows that do not fill a last batch are left out, else they make a smaller one. newlines: 'lf' reads "
     "CR LF and a lone CR as LF, 'keep' keeps carriage returns, 'ask' refuses a text that has some.",
     Typed<&OpenText>},
    {"from_tensors", "x, y",
     "Batches of rows of two tensors; batch 0 takes all rows at once. drop_last: rows that do not fill a last batch "
     "are left out. shuffle: a new order of rows each epoch, from the seed.",
     Typed<&FromTensors>},
    {"count_pieces", "text, tsv",
     "How often each of GPT-2's pieces of a text file occurs, as a file of lines for spm_train; data.train_bpe calls "
     "it.",
     Typed<&CountPieces>},
    {"write_bpe", "pieces, folder, specials",
     "vocab.json and merges.txt from the pieces that spm_train found; specials come first.",
     Typed<&WriteBpe>},
    {"sha256", "path", "The checksum of a file.", Typed<&Sha256File>},
    {"sha256_text", "text", "The checksum of a text.", Typed<&Sha256OfText>},
};
const std::vector<FunctionRow> kTextMethods = {
    {"Text:encode", "text", "Character ids, int64 (L).", Typed<&Encode>},
    {"Text:decode", "ids", "Text of ids.", Typed<&Decode>},
    {"Text:leak", "", "How many blocks of 64 characters of val occur in train: {block=, blocks=, shared=, searched=}.",
     Typed<&LeakOf>},
};
const std::vector<FunctionRow> kBatchMethods = {
    {"Batches:count", "", "Batches per epoch.", Typed<&Batches::count>},
    {"Batches:rows", "", "Samples per batch; the last one may have fewer.", Typed<&Batches::rows>},
    {"Batches:samples", "", "Samples in all batches of an epoch.", Typed<&Batches::samples>},
    {"Batches:left_out", "", "Samples that are in no batch of an epoch.", Typed<&Batches::left_out>},
    {"Batches:targets", "", "Targets per batch.", Typed<&Batches::targets>},
    {"Batches:epoch_targets", "", "Targets of an epoch that the loss does not leave out.",
     Typed<&Batches::epoch_targets>},
    {"Batches:get", "index, epoch",
     "Inputs and targets of batch `index`, from 0, and which of several texts it is of, from 1. With an epoch, from 1, "
     "the batches stay in that one.",
     Typed<&Get>},
    {"Batches:inspect", "",
     "What the first batch holds: {items=, longest=, width=, targets=, masked=, padding=, sha256=}; an error when it "
     "has fewer items than rows().",
     Typed<&Inspect>},
    {"Batches:hash", "index=0", "sha256 over inputs and targets of a batch.", Typed<&Hash>},
};

// What Tab offers behind a text.
int CompleteText(lua_State* L) {
  std::vector<std::string> names = {"ids"};
  PushFields(L, *CheckObject<Text>(L, 1, "data.Text"));
  for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) names.push_back(lua_tostring(L, -2));
  for (const FunctionRow& row : kTextMethods) names.push_back(std::string(row.name).substr(sizeof("Text:") - 1));
  PushNames(L, names);
  return 1;
}

}  // namespace

data::TokenFileOptions ReadingOptions::ForTokens(const char* section) const {
  data::TokenFileOptions options;
  if (!keep) options.keep_from_bytes = -1;
  options.other_folder = other_folder;
  if (newlines == "lf") options.newlines = data::Newlines::kLf;
  if (newlines == "ask") options.newlines_option_of = section;
  return options;
}

void ValueOf<data::Leak>::Push(lua_State* L, const data::Leak& leak) {
  NewTable(L)
      .Set("block", leak.block)
      .Set("blocks", leak.blocks)
      .Set("shared", leak.shared)
      .Set("searched", leak.searched);
}

void OpenData(lua_State* L) {
  lua_newtable(L);
  RegisterRows(L, "data", kFunctions);
  RegisterLuaBatches(L);
  RegisterDomains(L);
  RegisterPhases(L);
  RegisterMasked(L);
  RegisterDataFiles(L);
  DefineType<Text>(L);
  RegisterRows(L, "data", kTextMethods);
  luaL_getmetatable(L, TypeName<Text>::kName);
  lua_insert(L, -2);
  lua_pushcclosure(L, &Thunk<&IndexText>, 1);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, &Thunk<&CompleteText>);
  lua_setfield(L, -2, "__complete");
  lua_pop(L, 1);
  DefineType<Batches>(L);
  RegisterRows(L, "data", kBatchMethods);
  lua_pop(L, 1);
  lua_setfield(L, -2, "data");
}

}  // namespace lanthorn::lua
