// Several texts under one vocabulary, in Lua.
#include "engine/data/domains.h"

#include "bindings/lua/function.h"
#include "bindings/lua/json.h"
#include "bindings/tensor/tensor.h"
#include "bindings/train/data.h"
#include "bindings/train/trainer.h"

namespace lanthorn::lua {

namespace {

std::shared_ptr<data::Domains> Self(lua_State* L, const char* method) {
  return CheckObject<data::Domains>(L, 1, method);
}

data::WindowOrder ParseOrder(const std::string& name) {
  if (name == "epoch") return data::WindowOrder::kEpoch;
  if (name == "fixed") return data::WindowOrder::kFixed;
  return data::WindowOrder::kRandom;
}

// open_domains{sources = {{name=, path=, sha256=, bytes=}, ...}, ...}; data.domains has checked the options.
int OpenDomains(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  const nlohmann::json given = ReadJson(L, 1);
  std::vector<data::DomainSource> sources;
  for (const auto& one : given.at("sources")) {
    sources.push_back(
        {one.at("name"), one.at("path"), one.value("sha256", std::string()), one.value("bytes", int64_t{0})});
  }
  data::DomainOptions options;
  options.words = given.value("words", options.words);
  options.batch = given.value("batch", options.batch);
  options.seq = given.value("seq", options.seq);
  options.stride = given.value("stride", options.stride);
  options.train = given.value("train", options.train);
  options.val = given.value("val", options.val);
  options.order = ParseOrder(given.value("order", std::string("random")));
  options.batches = given.value("batches", options.batches);
  options.interleaved = given.value("interleaved", false);
  options.seed = given.value("seed", uint64_t{0});
  options.drop_last = given.value("drop_last", false);
  if (!given.value("keep", true)) options.tokens.keep_from_bytes = -1;
  options.tokens.other_folder = given.value("other_folder", std::string());
  SetNewlines(given.value("newlines", std::string("ask")), "domains", &options.tokens);
  if (given.contains("phases")) {
    for (int64_t phase : given.at("phases")) options.phases.push_back(phase - 1);
  }
  const train::Progress progress({.quiet = given.value("quiet", false), .write = &WriteError});
  PushObject(L, Value(data::Domains::Open(sources, options)));
  return 1;
}

// What is known of each domain, as a list of tables.
int Info(lua_State* L) {
  nlohmann::json list = nlohmann::json::array();
  for (const data::Domain& one : Self(L, "info")->domains) {
    list.push_back({{"name", one.name},
                    {"path", one.path},
                    {"sha256", one.sha256},
                    {"bytes", one.bytes},
                    {"data_bytes", one.tokens->ids().bytes()},
                    {"note", one.tokens->note()},
                    {"text_note", one.tokens->text_note()},
                    {"train_tokens", one.train_tokens},
                    {"val_tokens", one.val_tokens},
                    {"test_tokens", one.test_tokens},
                    {"train_unknown", one.train_unknown},
                    {"val_unknown", one.val_unknown}});
  }
  PushJson(L, list);
  return 1;
}

int Phases(lua_State* L) {
  const auto self = Self(L, "phases");
  nlohmann::json list = nlohmann::json::array();
  const std::vector<int64_t> ends = self->train->Ends();
  for (size_t i = 0; i < ends.size(); ++i) {
    nlohmann::json phase = {{"end_batch", ends[i]}};
    if (ends.size() == self->phases.size()) phase["domain"] = self->phases[i] + 1;
    list.push_back(phase);
  }
  PushJson(L, list);
  return 1;
}

int VocabSize(lua_State* L) {
  lua_pushnumber(L, static_cast<double>(Self(L, "vocab_size")->tokenizer->vocab_size()));
  return 1;
}

int Encode(lua_State* L) {
  const auto self = Self(L, "encode");
  size_t length = 0;
  const char* text = luaL_checklstring(L, 2, &length);
  PushTensor(L, Value(self->tokenizer->Encode(std::string(text, length))));
  return 1;
}

int Decode(lua_State* L) {
  const std::string text = Self(L, "decode")->tokenizer->Decode(CheckTensor(L, 2, "decode"));
  lua_pushlstring(L, text.data(), text.size());
  return 1;
}

int Train(lua_State* L) {
  PushObject<data::Batches>(L, Self(L, "train")->train);
  return 1;
}

int Val(lua_State* L) {
  PushObject<data::Batches>(L, Self(L, "val")->val);
  return 1;
}

// The domain whose number, from 1, is the first argument.
const data::Domain& CheckDomain(lua_State* L, const data::Domains& all) {
  const int64_t index = CheckWhole(L, 2, "Domains: domain");
  if (index < 1 || index > static_cast<int64_t>(all.domains.size())) {
    throw UsageError("Domains: domain " + std::to_string(index) + " does not exist; there are " +
                     std::to_string(all.domains.size()));
  }
  return all.domains[static_cast<size_t>(index - 1)];
}

// The val or test batches of one domain.
template <std::shared_ptr<data::WindowBatches> data::Domain::*kSplit>
int OfDomain(lua_State* L) {
  const auto self = Self(L, "of_domain");
  PushObject<data::Batches>(L, CheckDomain(L, *self).*kSplit);
  return 1;
}

int LeakOf(lua_State* L) {
  const auto self = Self(L, "leak");
  const data::Domain& domain = CheckDomain(L, *self);
  PushLeak(L, data::SharedBlocks(domain.train_ids, domain.val_ids));
  domain.tokens->Forget();
  return 1;
}

const std::vector<FunctionRow> kFunctions = {
    {"open_domains", "(dict options) -> Domains", "Several texts under one vocabulary; data.domains calls this.",
     &Thunk<&OpenDomains>},
};
const std::vector<FunctionRow> kMethods = {
    {"Domains:info", "() -> list",
     "For each domain {name=, path=, sha256=, bytes=, data_bytes=, note=, text_note=, train_tokens=, val_tokens=, "
     "test_tokens=, train_unknown=, "
     "val_unknown=}; unknown are shares of tokens.",
     &Thunk<&Info>},
    {"Domains:phases", "() -> list",
     "For each phase of an epoch {end_batch=, domain=}: the number of batches up to its end; interleaved domains are "
     "one "
     "phase without a domain.",
     &Thunk<&Phases>},
    {"Domains:vocab_size", "() -> int", "Tokens in the vocabulary.", &Thunk<&VocabSize>},
    {"Domains:encode", "(str text) -> Tensor", "Token ids, int64 (L).", &Thunk<&Encode>},
    {"Domains:decode", "(Tensor ids) -> str", "Text of ids.", &Thunk<&Decode>},
    {"Domains:train", "() -> Batches", "The train batches of all phases.", &Thunk<&Train>},
    {"Domains:val", "() -> Batches", "The val batches of all domains, in turn.", &Thunk<&Val>},
    {"Domains:val_of", "(int domain) -> Batches", "The val batches of one domain, from 1.",
     &Thunk<&OfDomain<&data::Domain::val>>},
    {"Domains:test_of", "(int domain) -> Batches", "The test batches of one domain, from 1.",
     &Thunk<&OfDomain<&data::Domain::test>>},
    {"Domains:leak", "(int domain) -> table",
     "How many blocks of 64 tokens of a domain's val occur in its train: {block=, blocks=, shared=, searched=}.",
     &Thunk<&LeakOf>},
};

}  // namespace

void RegisterDomains(lua_State* L) {
  RegisterRows(L, "data", kFunctions);
  DefineType<data::Domains>(L);
  RegisterRows(L, "data", kMethods);
  lua_pop(L, 1);
}

}  // namespace lanthorn::lua
