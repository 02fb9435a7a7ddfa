-- Checkpoints that RandyGPT's own programs wrote: "RGPT0001" to "RGPT0003", vocabulary, iteration, step (uint32), best
-- loss (float32), then float32 matrices (out, in): embedding, positions, head, and of each layer queries, keys, values,
-- outer projection and the two of the feed-forward; behind them the optimiser's moments, which are left out. The layers
-- are not in the header: they are the net's, and the size of the file must fit.
local fail = require 'fail'
local host = require 'host'
local torch = require 'torch'

local rgpt_weights = {}

local HEADER = 24 -- bytes, six numbers of four

local function header(path)
  local file = io.open(path, 'rb')
  local head = file and file:read(HEADER)
  if file then file:close() end
  if not head or #head < HEADER then fail.raise(5, "'%s': cannot be read, or is shorter than a header", path) end
  if not head:find '^RGPT000[123]' then
    fail.raise(5, "'%s': does not begin with RGPT0001, RGPT0002 or RGPT0003: not a checkpoint of RandyGPT", path)
  end
  local a, b, c, d = head:byte(9, 12)
  return a + 256 * (b + 256 * (c + 256 * d))
end

-- The net's tensors in the order of the file: { name, sizes, which third of the joined one }.
local function order(net, layers)
  local list = { { 'embed.weight' }, { 'positions.weight' }, { 'head.weight' } }
  for i = 0, layers - 1 do
    local block = ('blocks.%d.'):format(i)
    for third = 0, 2 do list[#list + 1] = { block .. 'self_attn.in_proj_weight', third } end
    for _, name in ipairs { 'self_attn.out_proj.weight', 'linear1.weight', 'linear2.weight' } do
      list[#list + 1] = { block .. name }
    end
  end
  local state = net:state_dict()
  for _, entry in ipairs(list) do
    local tensor = state[entry[1]] or fail.config("the model has no '%s': not a randygpt", entry[1])
    entry.tensor = entry[2] and tensor:narrow(0, entry[2] * tensor:size(1), tensor:size(1)) or tensor
  end
  return list
end

---Reads such a file into a model of models.randygpt of as many layers, strictly.
---@param net Module
---@param path string
---@param layers integer
function rgpt_weights.load(net, path, layers)
  local vocab, list, needed = header(path), order(net, layers), 0
  local own = list[1].tensor:size(0)
  if vocab ~= own then
    fail.raise(5, "'%s': is of a vocabulary of %d, the model has %d", path, vocab, own)
  end
  for _, entry in ipairs(list) do needed = needed + entry.tensor:numel() end
  local numbers = (host.stat(path).size - HEADER) / 4
  if numbers ~= needed and numbers ~= 3 * needed then
    fail.raise(5, "'%s': has %d numbers; %d layers of this model are %d, with Adam's moments %d: is the number of "
      .. 'layers or the width another?', path, numbers, layers, needed, 3 * needed)
  end
  local all = torch.from_file(path, false, needed + HEADER / 4, { dtype = 'float32' })
  local at = HEADER / 4
  torch.no_grad(function()
    for _, entry in ipairs(list) do
      local count = entry.tensor:numel()
      entry.tensor:copy_(all:narrow(0, at, count):view_as(entry.tensor))
      at = at + count
    end
  end)
end

return rgpt_weights
