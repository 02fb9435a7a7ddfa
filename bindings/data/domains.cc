// Several texts under one vocabulary, in Lua.
#include "engine/data/domains.h"

#include "absl/strings/str_cat.h"
#include "bindings/data/data.h"
#include "bindings/lua/json.h"
#include "bindings/lua/typed.h"
#include "bindings/tensor/tensor.h"
#include "bindings/train/trainer.h"

namespace lanthorn::lua {

// {name=, path=, sha256=, bytes=, from=, to=}
template <>
struct ValueOf<data::DomainSource> {
  static std::string Type() { return "table"; }
  static bool Read(lua_State* L, int index, data::DomainSource* source) {
    if (!lua_istable(L, index)) return false;
    const nlohmann::json given = ReadJson(L, index);
    *source = {given.at("name"),
               given.at("path"),
               given.value("sha256", std::string()),
               given.value("bytes", int64_t{0}),
               given.value("from", 0.0),
               given.value("to", 1.0)};
    return true;
  }
};

namespace {

using data::Batches, data::Domains;

struct OpenDomainsOptions {
  ReadingOptions reading;
  data::DomainOptions domains;
};
template <typename Visit>
void Fields(Visit&& visit, OpenDomainsOptions& options) {
  Fields(visit, options.reading);
  Fields(visit, options.domains);
  visit({"seed", "of the windows"}, options.domains.seed);
}

std::shared_ptr<Domains> OpenDomains(const std::vector<data::DomainSource>& sources, const OpenDomainsOptions& given) {
  data::DomainOptions options = given.domains;
  options.tokens = given.reading.ForTokens("domains");
  for (int64_t& phase : options.phases) --phase;  // Lua counts from 1
  const train::Progress progress({.quiet = given.reading.quiet, .write = &WriteError});
  return Value(Domains::Open(sources, options));
}

std::vector<nlohmann::json> Info(const Domains& self) {
  std::vector<nlohmann::json> list;
  for (const data::Domain& one : self.domains) {
    list.push_back({{"name", one.name},
                    {"path", one.path},
                    {"sha256", one.sha256},
                    {"bytes", one.bytes},
                    {"from", one.from},
                    {"to", one.to},
                    {"data_bytes", one.tokens->ids().bytes()},
                    {"note", one.tokens->note()},
                    {"text_note", one.tokens->text_note()},
                    {"train_tokens", one.train_tokens},
                    {"val_tokens", one.val_tokens},
                    {"test_tokens", one.test_tokens},
                    {"train_unknown", one.train_unknown},
                    {"val_unknown", one.val_unknown}});
  }
  return list;
}

std::vector<nlohmann::json> Phases(const Domains& self) { return PhaseList(*self.train); }

int64_t VocabSize(const Domains& self) { return self.tokenizer->vocab_size(); }
at::Tensor Encode(const Domains& self, const std::string& text) { return Value(self.tokenizer->Encode(text)); }
std::string Decode(const Domains& self, const at::Tensor& ids) { return self.tokenizer->Decode(ids); }
std::shared_ptr<Batches> Train(const Domains& self) { return self.train; }
std::shared_ptr<Batches> Val(const Domains& self) { return self.val; }

// The domain with this number, from 1.
const data::Domain& DomainAt(const Domains& all, int64_t domain) {
  if (domain < 1 || domain > static_cast<int64_t>(all.domains.size()))
    throw UsageError(absl::StrCat("Domains: domain ", domain, " does not exist; there are ", all.domains.size()));
  return all.domains[static_cast<size_t>(domain - 1)];
}
std::shared_ptr<Batches> ValOf(const Domains& self, int64_t domain) { return DomainAt(self, domain).val; }
std::shared_ptr<Batches> TestOf(const Domains& self, int64_t domain) { return DomainAt(self, domain).test; }
std::shared_ptr<Batches> TrainOf(const Domains& self, int64_t domain) { return DomainAt(self, domain).train; }

data::Leak LeakOf(const Domains& self, int64_t domain) {
  const data::Domain& one = DomainAt(self, domain);
  const data::Leak leak = data::SharedBlocks(one.train_ids, one.val_ids);
  one.tokens->Forget();
  return leak;
}

const std::vector<FunctionRow> kFunctions = {
    {"open_domains", "sources", "Several texts under one vocabulary; data.domains calls this.", Typed<&OpenDomains>},
};
const std::vector<FunctionRow> kMethods = {
    {"Domains:info", "",
     "For each domain {name=, path=, sha256=, bytes=, from=, to=, data_bytes=, note=, text_note=, train_tokens=, "
     "val_tokens=, test_tokens=, train_unknown=, val_unknown=}; unknown are shares of tokens.",
     Typed<&Info>},
    {"Domains:phases", "",
     "For each phase of an epoch {end_batch=, passes=, domain=}: the number of batches up to its end, and up to that "
     "of each pass; interleaved domains are one phase without a domain.",
     Typed<&Phases>},
    {"Domains:vocab_size", "", "Tokens in the vocabulary.", Typed<&VocabSize>},
    {"Domains:encode", "text", "Token ids, int64 (L).", Typed<&Encode>},
    {"Domains:decode", "ids", "Text of ids.", Typed<&Decode>},
    {"Domains:train", "", "The train batches of all phases.", Typed<&Train>},
    {"Domains:val", "", "The val batches of all domains, in turn.", Typed<&Val>},
    {"Domains:val_of", "domain", "The val batches of one domain, from 1.", Typed<&ValOf>},
    {"Domains:train_of", "domain", "The train batches of the first pass over one domain, from 1.", Typed<&TrainOf>},
    {"Domains:test_of", "domain", "The test batches of one domain, from 1.", Typed<&TestOf>},
    {"Domains:leak", "domain",
     "How many blocks of 64 tokens of a domain's val occur in its train: {block=, blocks=, shared=, searched=}.",
     Typed<&LeakOf>},
};

}  // namespace

void RegisterDomains(lua_State* L) {
  RegisterRows(L, "data", kFunctions);
  DefineType<Domains>(L);
  RegisterRows(L, "data", kMethods);
  lua_pop(L, 1);
}

}  // namespace lanthorn::lua
