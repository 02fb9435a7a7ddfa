-- Code search: which code is that of an entity, given its name? Different codes are ranked by the cosine of mean hidden
-- states, or by how many tokens of the name they have.
local ranking = require 'graph.ranking'
local text_vectors = require 'graph.text_vectors'
local torch = require 'torch'

local code_search = {}

local NAME_TOKENS = 64

---Questions: a name for each entity that has code, candidates the different codes of all of them.
---@param entities string[]
---@param code table<string, string>
---@param encode fun(text: string): integer[]
---@return { names: integer[][], codes: integer[][], gold: integer[] } tokens; gold from 0
function code_search.questions(entities, code, encode)
  local made, place = { names = {}, codes = {}, gold = {} }, {}
  for _, entity in ipairs(entities) do
    local text = code[entity]
    if text then
      if not place[text] then
        made.codes[#made.codes + 1] = encode(text)
        place[text] = #made.codes - 1
      end
      made.names[#made.names + 1], made.gold[#made.gold + 1] = encode((entity:gsub('%.', ' '))), place[text]
    end
  end
  return made
end

local function unit(x) return x / x:norm(2, -1, true):clamp_min(1e-8) end

---Ranks by a model; names and codes have no relation.
---@param model Module of models.graphmer
---@param questions table of code_search.questions
---@param about { pad: integer, max_len: integer } max_len: tokens of a code that are read
---@return number[] ranks
---@return integer[] sizes
function code_search.by_model(model, questions, about)
  local names = unit(text_vectors(model, questions.names, NAME_TOKENS, about.pad))
  local codes = unit(text_vectors(model, questions.codes, about.max_len, about.pad))
  return ranking.ranks(torch.mm(names, codes:t()), questions.gold)
end

-- Which tokens each text has: (texts, vocab) of 0 and 1.
local function bags(texts, most, vocab)
  local flat = {}
  for i, tokens in ipairs(texts) do
    for t = 1, math.min(#tokens, most) do flat[#flat + 1] = (i - 1) * vocab + tokens[t] end
  end
  return torch.zeros { #texts * vocab }:index_fill(0, torch.tensor(flat, { dtype = 'int64' }), 1)
    :view { #texts, vocab }
end

---Ranks by how many different tokens of the name a code has: what no model is needed for.
---@param questions table of code_search.questions
---@param about { vocab: integer, max_len: integer }
---@return number[] ranks
function code_search.by_tokens(questions, about)
  return (torch.scope(function()
    return ranking.ranks(torch.mm(bags(questions.names, NAME_TOKENS, about.vocab),
      bags(questions.codes, about.max_len, about.vocab):t()), questions.gold)
  end))
end

return code_search
