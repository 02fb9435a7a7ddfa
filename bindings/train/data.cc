#include "bindings/train/data.h"

#include "bindings/lua/function.h"
#include "bindings/ops/function_call.h"
#include "bindings/tensor/tensor.h"
#include "bindings/train/trainer.h"
#include "engine/base/files.h"
#include "engine/data/batch_shape.h"
#include "engine/data/text/leak.h"

namespace lanthorn::lua {
namespace {

std::shared_ptr<data::Text> SelfText(lua_State* L, const char* method) { return CheckObject<data::Text>(L, 1, method); }

data::Layout ParseLayout(const std::string& name) {
  if (name == "rows") return data::Layout::kRows;
  if (name == "streams") return data::Layout::kStreams;
  if (name == "overlap") return data::Layout::kOverlap;
  Check(ConfigError("data: layout '" + name + "' is not known; use rows, streams or overlap"));
  return data::Layout::kRows;
}

int OpenText(lua_State* L) {
  static const NamedSignature signature = ParseSignature(
      "open_text(str name, str path, str sha256='', int batch=64, int seq=100, int stride=100, float split=0.9, str "
      "layout='rows', "
      "int chars=0, bool shuffle=False, int seed=0, bool val_required=True, bool quiet=False, bool keep=True, str "
      "other_folder='', bool drop_last=False, str newlines='ask')");
  const std::vector<c10::IValue> a = ReadCall(L, 1, signature, "data.");
  data::TextOptions options;
  options.batch = a[3].toInt();
  options.seq = a[4].toInt();
  options.stride = a[5].toInt();
  options.split = a[6].toDouble();
  options.layout = ParseLayout(a[7].toStringRef());
  options.chars = a[8].toInt();
  options.shuffle = a[9].toBool();
  options.seed = a[10].toInt();
  options.val_required = a[11].toBool();
  const train::Progress progress({.quiet = a[12].toBool(), .write = &WriteError});
  options.tokens.expected_sha256 = a[2].toStringRef();
  if (!a[13].toBool()) options.tokens.keep_from_bytes = -1;
  options.tokens.other_folder = a[14].toStringRef();
  options.drop_last = a[15].toBool();
  SetNewlines(a[16].toStringRef(), "data", &options.tokens);
  PushObject(L, Value(data::Text::Open(a[0].toStringRef(), a[1].toStringRef(), options)));
  return 1;
}

// upvalue 1: the methods.
int IndexText(lua_State* L) {
  const auto text = SelfText(L, "data.Text");
  const std::string name = luaL_checkstring(L, 2);
  if (name == "vocab_size") {
    lua_pushnumber(L, static_cast<double>(text->tokenizer.vocab_size()));
  } else if (name == "length") {
    lua_pushnumber(L, static_cast<double>(text->ids.size()));
  } else if (name == "name") {
    lua_pushstring(L, text->name.c_str());
  } else if (name == "path") {
    lua_pushstring(L, text->path.c_str());
  } else if (name == "sha256") {
    lua_pushstring(L, text->sha256.c_str());
  } else if (name == "bytes") {
    lua_pushnumber(L, static_cast<double>(text->bytes));
  } else if (name == "ids") {
    PushTensor(L, text->ids.ToTensor());
  } else if (name == "data_bytes") {
    lua_pushnumber(L, static_cast<double>(text->ids.bytes()));
  } else if (name == "kept_in") {
    lua_pushstring(L, text->tokens->kept_in().c_str());
  } else if (name == "note") {
    lua_pushstring(L, text->tokens->note().c_str());
  } else if (name == "text_note") {
    lua_pushstring(L, text->tokens->text_note().c_str());
  } else if (name == "train") {
    PushObject<data::Batches>(L, text->train);
  } else if (name == "val") {
    PushObject<data::Batches>(L, text->val);
  } else {
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
  }
  return 1;
}

int Encode(lua_State* L) {
  const auto text = SelfText(L, "encode");
  if (lua_type(L, 2) != LUA_TSTRING) throw UsageError("Text:encode: expected a string, got " + Describe(L, 2));
  size_t length = 0;
  const char* characters = lua_tolstring(L, 2, &length);
  PushTensor(L, Value(text->tokenizer.Encode(std::string(characters, length))));
  return 1;
}

int Decode(lua_State* L) {
  const std::string decoded = SelfText(L, "decode")->tokenizer.Decode(CheckTensor(L, 2, "decode"));
  lua_pushlstring(L, decoded.data(), decoded.size());
  return 1;
}

std::shared_ptr<data::Batches> SelfBatches(lua_State* L, const char* method) {
  return CheckObject<data::Batches>(L, 1, method);
}

int Count(lua_State* L) {
  lua_pushnumber(L, static_cast<double>(SelfBatches(L, "count")->count()));
  return 1;
}

int Samples(lua_State* L) {
  lua_pushnumber(L, static_cast<double>(SelfBatches(L, "samples")->samples()));
  return 1;
}

int LeftOut(lua_State* L) {
  lua_pushnumber(L, static_cast<double>(SelfBatches(L, "left_out")->left_out()));
  return 1;
}

int EpochTargets(lua_State* L) {
  lua_pushnumber(L, static_cast<double>(SelfBatches(L, "epoch_targets")->epoch_targets()));
  return 1;
}

int Rows(lua_State* L) {
  lua_pushnumber(L, static_cast<double>(SelfBatches(L, "rows")->rows()));
  return 1;
}

int Targets(lua_State* L) {
  lua_pushnumber(L, static_cast<double>(SelfBatches(L, "targets")->targets()));
  return 1;
}

int Get(lua_State* L) {
  const auto batches = SelfBatches(L, "get");
  const int64_t index = CheckWhole(L, 2, "Batches:get: index");
  if (index < 0 || index >= batches->count()) {
    throw UsageError("Batches:get: batch " + std::to_string(index) + " does not exist; there are " +
                     std::to_string(batches->count()) + ", from 0");
  }
  if (!lua_isnoneornil(L, 3)) {
    const int64_t epoch = CheckWhole(L, 3, "Batches:get: epoch");
    if (epoch < 1) throw UsageError("Batches:get: epochs count from 1, got " + std::to_string(epoch));
    batches->SetEpoch(epoch - 1);
  }
  const data::Batch batch = batches->Get(index);
  PushTensor(L, batch.x);
  PushTensor(L, batch.y);
  lua_pushnumber(L, static_cast<double>(batch.domain + 1));
  return 3;
}

int Hash(lua_State* L) {
  lua_pushstring(L, data::HashBatch(SelfBatches(L, "hash")->Get(luaL_optinteger(L, 2, 0))).c_str());
  return 1;
}

// {name = count, ...} on the stack. [-0, +1, m]
void PushCounts(lua_State* L, std::initializer_list<std::pair<const char*, int64_t>> counts) {
  lua_createtable(L, 0, static_cast<int>(counts.size()) + 1);
  for (const auto& [name, count] : counts) {
    lua_pushnumber(L, static_cast<double>(count));
    lua_setfield(L, -2, name);
  }
}

int Inspect(lua_State* L) {
  const auto batches = SelfBatches(L, "inspect");
  const data::Batch batch = batches->Get(0);
  const data::BatchShape shape = data::ShapeOf(batch, batches->rows());
  Check(data::CheckBatchShape(shape));
  PushCounts(L, {{"items", shape.items},
                 {"longest", shape.longest},
                 {"width", shape.width},
                 {"targets", shape.targets},
                 {"masked", shape.masked},
                 {"padding", shape.padding}});
  lua_pushstring(L, data::HashBatch(batch).c_str());
  lua_setfield(L, -2, "sha256");
  return 1;
}

int LeakOf(lua_State* L) {
  const auto text = SelfText(L, "leak");
  const int64_t train = text->train->length();
  const data::Leak leak =
      data::SharedBlocks(text->ids.Slice(0, train), text->ids.Slice(train, text->ids.size() - train));
  text->tokens->Forget();
  PushLeak(L, leak);
  return 1;
}

int FromTensors(lua_State* L) {
  static const NamedSignature signature =
      ParseSignature("from_tensors(int batch=0, bool drop_last=False, bool shuffle=False, int seed=0)");
  const at::Tensor x = CheckTensor(L, 1, "data.tensors: x"), y = CheckTensor(L, 2, "data.tensors: y");
  const std::vector<c10::IValue> a = ReadCall(L, 3, signature, "data.");
  PushObject<data::Batches>(
      L, Value(data::TensorBatches::Make(
             x, y, {a[0].toInt(), a[1].toBool(), a[2].toBool(), static_cast<uint64_t>(a[3].toInt())})));
  return 1;
}

int Sha256(lua_State* L) {
  lua_pushstring(L, Value(Sha256File(luaL_checkstring(L, 1))).c_str());
  return 1;
}

int Sha256OfText(lua_State* L) {
  size_t size = 0;
  const char* text = luaL_checklstring(L, 1, &size);
  lua_pushstring(L, Sha256Hex(std::string_view(text, size)).c_str());
  return 1;
}

const std::vector<FunctionRow> kFunctions = {
    {"open_text",
     "(*, str name, str path, str sha256='', int batch=64, int seq=100, int stride=100, float split=0.9, str "
     "layout='rows', int chars=0, bool shuffle=False, int seed=0, bool val_required=True, bool quiet=False, bool "
     "keep=True, str other_folder='', bool drop_last=False, str newlines='ask') -> Text",
     "A character text split into batches; data.text finds the corpus and calls this. Says every 30 s that it goes on. "
     "keep: tokens of a long text stay in a file beside it, or in other_folder where that cannot be written. "
     "drop_last: "
     "rows that do not fill a last batch are left out, else they make a smaller one. newlines: 'lf' reads CR LF and a "
     "lone CR as LF, 'keep' keeps carriage returns, 'ask' refuses a text that has some.",
     &Thunk<&OpenText>},
    {"from_tensors",
     "(Tensor x, Tensor y, *, int batch=0, bool drop_last=False, bool shuffle=False, int seed=0) -> Batches",
     "Batches of rows of two tensors; batch 0 takes all rows at once. drop_last: rows that do not fill a last batch "
     "are "
     "left out. shuffle: a new order of rows each epoch, from the seed.",
     &Thunk<&FromTensors>},
    {"sha256", "(str path) -> str", "The checksum of a file.", &Thunk<&Sha256>},
    {"sha256_text", "(str text) -> str", "The checksum of a text.", &Thunk<&Sha256OfText>},
};
const std::vector<FunctionRow> kTextMethods = {
    {"Text:encode", "(str text) -> Tensor", "Character ids, int64 (L).", &Thunk<&Encode>},
    {"Text:decode", "(Tensor ids) -> str", "Text of ids.", &Thunk<&Decode>},
    {"Text:leak", "() -> table",
     "How many blocks of 64 characters of val occur in train: {block=, blocks=, shared=, searched=}.", &Thunk<&LeakOf>},
};

// What Tab offers behind a text.
int CompleteText(lua_State* L) {
  std::vector<std::string> names = {"vocab_size", "length",  "name", "path",      "sha256", "bytes", "ids",
                                    "data_bytes", "kept_in", "note", "text_note", "train",  "val"};
  for (const FunctionRow& row : kTextMethods) names.push_back(std::string(row.name).substr(sizeof("Text:") - 1));
  PushNames(L, names);
  return 1;
}

const std::vector<FunctionRow> kBatchMethods = {
    {"Batches:count", "() -> int", "Batches per epoch.", &Thunk<&Count>},
    {"Batches:rows", "() -> int", "Samples per batch; the last one may have fewer.", &Thunk<&Rows>},
    {"Batches:samples", "() -> int", "Samples in all batches of an epoch.", &Thunk<&Samples>},
    {"Batches:left_out", "() -> int", "Samples that are in no batch of an epoch.", &Thunk<&LeftOut>},
    {"Batches:targets", "() -> int", "Targets per batch.", &Thunk<&Targets>},
    {"Batches:epoch_targets", "() -> int", "Targets of an epoch that the loss does not leave out.",
     &Thunk<&EpochTargets>},
    {"Batches:get", "(int index, int? epoch=None) -> Tensor, Tensor, int",
     "Inputs and targets of batch `index`, from 0, and which of several texts it is of, from 1. With an epoch, from 1, "
     "the batches stay in that one.",
     &Thunk<&Get>},
    {"Batches:inspect", "() -> table",
     "What the first batch holds: {items=, longest=, width=, targets=, masked=, padding=, sha256=}; an error when it "
     "has "
     "fewer items than rows().",
     &Thunk<&Inspect>},
    {"Batches:hash", "(int index=0) -> str", "sha256 over inputs and targets of a batch.", &Thunk<&Hash>},
};

}  // namespace

void SetNewlines(const std::string& name, const char* section, data::TokenFileOptions* options) {
  if (name != "keep" && name != "lf" && name != "ask") {
    Check(ConfigError(std::string(section) + ": newlines '" + name + "' is not known; use keep, lf or ask"));
  }
  if (name == "lf") options->newlines = data::Newlines::kLf;
  if (name == "ask") options->newlines_option_of = section;
}

void PushLeak(lua_State* L, const data::Leak& leak) {
  PushCounts(L, {{"block", leak.block}, {"blocks", leak.blocks}, {"shared", leak.shared}});
  lua_pushnumber(L, leak.searched);
  lua_setfield(L, -2, "searched");
}

void OpenData(lua_State* L) {
  lua_newtable(L);
  RegisterRows(L, "data", kFunctions);
  RegisterLuaBatches(L);
  RegisterDomains(L);
  RegisterDataFiles(L);
  DefineType<data::Text>(L);
  RegisterRows(L, "data", kTextMethods);
  luaL_getmetatable(L, TypeName<data::Text>::kName);
  lua_insert(L, -2);
  lua_pushcclosure(L, &Thunk<&IndexText>, 1);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, &Thunk<&CompleteText>);
  lua_setfield(L, -2, "__complete");
  lua_pop(L, 1);
  DefineType<data::Batches>(L);
  RegisterRows(L, "data", kBatchMethods);
  lua_pop(L, 1);
  lua_setfield(L, -2, "data");
}

}  // namespace lanthorn::lua
