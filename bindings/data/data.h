// Texts and batches in Lua.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "bindings/lua/value.h"
#include "engine/data/domains.h"
#include "engine/data/tensors.h"
#include "engine/data/text.h"
#include "engine/data/text/bpe.h"
#include "engine/data/text/leak.h"

namespace lanthorn::lua {

LANTHORN_LUA_TYPE(data::Text, "data.Text");
LANTHORN_LUA_TYPE(data::Batches, "data.Batches");
LANTHORN_LUA_TYPE(data::Domains, "data.Domains");
LANTHORN_LUA_TYPE(data::BpeTokenizer, "data.Bpe");
LANTHORN_LUA_RECORD(data::Leak);

// How a text is read and kept, as Lua gives it.
struct ReadingOptions {
  bool quiet = false;
  bool keep = true;
  std::string other_folder;
  std::string newlines = "ask";

  // `section`: whose option `newlines` a message names.
  data::TokenFileOptions ForTokens(const char* section) const;
};

template <typename Visit>
void Fields(Visit&& visit, ReadingOptions& options) {
  visit({"quiet", "say nothing"}, options.quiet);
  visit({"keep", "tokens of a long text stay in a file beside it"}, options.keep);
  visit({"other_folder", "or there, where that folder cannot be written"}, options.other_folder);
  visit({"newlines",
         "lf reads CR LF and a lone CR as LF; keep keeps carriage returns; ask refuses a text that has some",
         {},
         {"ask", "keep", "lf"}},
        options.newlines);
}

// What Lua knows of phases: {end_batch=, passes=, domain=} for each; those that take turns are one without a domain.
std::vector<nlohmann::json> PhaseList(const data::PhaseBatches& batches);

// Add functions that make batches to the table on the top of the stack: by a Lua function, of several texts, of tables,
// arrays and pictures, of phases, of masked tokens. [-0, +0, m]
void RegisterLuaBatches(lua_State* L);
void RegisterDomains(lua_State* L);
void RegisterPhases(lua_State* L);
void RegisterMasked(lua_State* L);
void RegisterDataFiles(lua_State* L);
// Adds `data` to the module table on the top of the stack. [-0, +0, m]
void OpenData(lua_State* L);

}  // namespace lanthorn::lua
