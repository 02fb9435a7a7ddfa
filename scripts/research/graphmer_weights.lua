-- Weights of GraphMER in files: they carry what they give for tokens made up, and are refused where something is
-- another's.
local console = require 'console'
local fail = require 'fail'
local forward_check = require 'graph.forward_check'
local graphmer = require 'research.graphmer'

local weights = {}

local function check_vocabulary(model, graph, path)
  local own, now = model:vocabulary(), graphmer.vocabulary(graph)
  if own == now then return end
  fail.data("'%s': these weights are of %s; expected those of %s (%s); take the graph that they were trained on, with "
    .. 'the same graph.vocab', path, own and 'other tokens or relations (' .. own:sub(1, 15) .. ')'
    or 'tokens and relations that they do not tell', graph.name, now:sub(1, 15))
end

---A model with weights that a training of GraphMER saved for this graph's tokens and relations. Raises where their
---shapes are others, where the model gives something else than the trained one did (exit 5), and where their tokens or
---relations are others, or not known (exit 4).
---@param graph table of graphmer.graph
---@param section table graphmer.MODEL
---@param path string a model.safetensors
---@return Module
function weights.load(graph, section, path)
  local model = graphmer.model(graph, section):load(path)
  check_vocabulary(model, graph, path)
  local told = model:forward_check()
  if not told then
    console.note(('%-10s%s does not tell what its model gave: shapes, tokens and relations fit, the rest is not '
      .. 'checked'):format('weights', path))
  elseif not forward_check.fits(model, told) then
    fail.raise(5, "'%s': with these weights the model gives something else than the trained one did (apart by %.3g of "
      .. 'it): an option that shapes do not tell is another one; set model.heads, model.norm and model.act as in the '
      .. 'training', path, forward_check.distance(model, told))
  end
  return model
end

return weights
